"""Thoughts are told apart by ids, and a budget is never exceeded."""

from __future__ import annotations

import random

import pytest

from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit, ThoughtTracker

OPEN, CLOSE = 90, 91
ONE_TOKEN_TAGS = ThinkingLimit(True, (OPEN,), (CLOSE,))
LONG_CLOSE = (7, 8, 9)


def _run(
    limit: ThinkingLimit, wanted: list[int], length: int, room: int = 10_000
) -> tuple[list[int], list[bool], list[ThinkingEnd | None]]:
    """Feeds a model that wants to say `wanted`, but says what is forced where anything is."""
    tracker, ids, inside, ends = ThoughtTracker(limit, room), [], [], []
    for _ in range(length):
        forced = tracker.forced()
        ids.append(wanted.pop(0) if forced is None else forced)
        in_thought, end = tracker.push(ids[-1])
        inside.append(in_thought)
        ends.append(end)
    return ids, inside, ends


def test_a_thought_ends_with_its_tag() -> None:
    ids, inside, ends = _run(ONE_TOKEN_TAGS, [1, 2, CLOSE, 3], 4)
    assert ids == [1, 2, CLOSE, 3]
    assert inside == [True, True, False, False]
    assert ends == [None, None, "natural", None]


def test_a_model_may_open_its_thought_itself() -> None:
    _, inside, ends = _run(ThinkingLimit(False, (OPEN,), (CLOSE,)), [1, OPEN, 2, CLOSE, 3], 5)
    assert inside == [False, False, True, False, False]
    assert ends[3] == "natural"


def test_tags_of_several_tokens_are_followed() -> None:
    limit = ThinkingLimit(False, (4, 5), LONG_CLOSE)
    _, inside, ends = _run(limit, [4, 4, 5, 1, 7, 7, 8, 9, 2], 9)
    assert inside == [False, False, False, True, True, True, True, False, False]
    assert ends[7] == "natural"


def test_the_tag_is_forced_when_the_budget_is_spent() -> None:
    limit = ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=2)
    ids, inside, ends = _run(limit, [1, 2, 3, 4], 6)
    assert ids == [1, 2, *LONG_CLOSE, 3]
    assert inside == [True, True, False, False, False, False]
    assert ends == [None, None, None, None, "budget", None]


def test_only_what_is_missing_of_a_begun_tag_is_forced() -> None:
    limit = ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=3)
    ids, inside, _ = _run(limit, [1, 7, 8, 3], 5)
    assert ids == [1, 7, 8, 9, 3]
    assert inside == [True, True, True, False, False]


def test_a_budget_of_nothing_closes_at_once() -> None:
    ids, inside, _ = _run(ThinkingLimit(True, (OPEN,), (CLOSE,), budget_tokens=0), [1], 2)
    assert ids == [CLOSE, 1]
    assert not any(inside)


def test_a_second_thought_spends_the_same_budget() -> None:
    limit = ThinkingLimit(True, (OPEN,), (CLOSE,), budget_tokens=3)
    ids, inside, _ = _run(limit, [1, 2, CLOSE, 5, OPEN, 3, 6], 8)
    assert ids == [1, 2, CLOSE, 5, OPEN, 3, CLOSE, 6]
    assert sum(inside) == 3


class Tags:
    """Sees thoughts that open with 55 and close with 66, which the ids do not tell."""

    def __init__(self, in_thought: bool) -> None:
        self.in_thought = in_thought

    def push(self, token_id: int) -> None:
        self.in_thought = {55: True, 66: False}.get(token_id, self.in_thought)

    def fork(self) -> Tags:
        return Tags(self.in_thought)


def test_what_only_the_text_shows_counts() -> None:
    limit = ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=3, view=Tags(True))
    ids, inside, _ = _run(limit, [1, 66, 2, 2, 55, 3, 4], 9)
    assert ids == [1, 66, 2, 2, 55, 3, *LONG_CLOSE]
    assert inside == [True, True, False, False, False, True, False, False, False]


def test_a_forced_tag_comes_to_its_end_whatever_the_text_shows() -> None:
    limit = ThinkingLimit(True, (), (7, 66, 9), budget_tokens=1, view=Tags(True))
    assert _run(limit, [1, 2], 5)[0] == [1, 7, 66, 9, 2]


def test_a_request_runs_twice_on_one_limit() -> None:
    limit = ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=3, view=Tags(True))
    assert _run(limit, [1, 66, 2, 2], 4) == _run(limit, [1, 66, 2, 2], 4)


def test_a_fork_spends_what_is_left_and_leaves_its_parent_alone() -> None:
    parent = ThoughtTracker(ThinkingLimit(True, (OPEN,), (CLOSE,), budget_tokens=3), 9)
    parent.push(1)
    fork = parent.fork([2], 9)
    assert fork.push(3) == (True, None)
    assert fork.forced() == CLOSE
    assert parent.push(4) == (True, None)
    assert parent.forced() is None


def test_a_fork_may_begin_with_another_text_than_the_tag_being_forced() -> None:
    parent = ThoughtTracker(ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=1), 9)
    parent.push(1)
    assert parent.push(7) == (False, None)
    assert parent.fork(LONG_CLOSE[1:], 9).forced() is None
    other = parent.fork([5, 5], 9)
    assert [other.forced(), parent.forced()] == [LONG_CLOSE[0], LONG_CLOSE[1]]


@pytest.mark.parametrize("seed", range(20))
def test_the_budget_is_never_exceeded(seed: int) -> None:
    rng = random.Random(seed)
    budget = rng.randrange(6)
    limit = ThinkingLimit(rng.random() < 0.5, (1, 2), (2, 2, 3), budget)
    wanted = [rng.randrange(1, 5) for _ in range(200)]
    _, inside, ends = _run(limit, wanted, 200)
    assert sum(inside) <= budget
    assert set(ends) <= {None, "natural", "budget"}


def test_a_thought_closes_softly_behind_a_line() -> None:
    limit = ThinkingLimit(
        True, (), LONG_CLOSE, budget_tokens=6, soft_tokens=3, boundary_ids=frozenset({50})
    )
    ids, inside, ends = _run(limit, [1, 50, 50, 4, 5, 6, 7], 7)
    assert ids == [1, 50, 50, *LONG_CLOSE, 4]
    assert (sum(inside), ends[5]) == (3, "budget")


def test_a_thought_leaves_the_reserve_to_the_answer() -> None:
    limit = ThinkingLimit(True, (), LONG_CLOSE, answer_reserve_tokens=4)
    ids, _, ends = _run(limit, [1] * 20, 10, room=10)
    assert ids == [1, 1, 1, *LONG_CLOSE, 1, 1, 1, 1]
    assert ends[5] == "context"


def test_a_client_closes_a_thought_and_nothing_else() -> None:
    tracker = ThoughtTracker(ONE_TOKEN_TAGS, 100)
    tracker.push(1)
    tracker.close("client")
    tracker.close("loop")
    assert tracker.forced() == CLOSE
    assert tracker.push(CLOSE) == (False, "client")
    tracker.close("client")
    assert tracker.forced() is None


@pytest.mark.parametrize("seed", range(40))
def test_the_reserve_is_kept_however_the_tag_begins(seed: int) -> None:
    rng = random.Random(seed)
    reserve, room = rng.randrange(1, 9), rng.randrange(30, 60)
    limit = ThinkingLimit(True, (), (2, 2, 3), answer_reserve_tokens=reserve, soft_tokens=4)
    tracker = ThoughtTracker(limit, room)
    for left in reversed(range(room)):
        forced = tracker.forced()
        _, end = tracker.push(rng.choice([1, 2]) if forced is None else forced)
        if end is not None:
            assert left >= reserve
            return
    raise AssertionError("the thought never closed")
