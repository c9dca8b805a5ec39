"""Thoughts are told apart by ids, and a budget is never exceeded."""

from __future__ import annotations

import random

import pytest

from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit, ThoughtTracker

OPEN, CLOSE = 90, 91
ONE_TOKEN_TAGS = ThinkingLimit(True, (OPEN,), (CLOSE,))
LONG_CLOSE = (7, 8, 9)


def _run(
    limit: ThinkingLimit, wanted: list[int], length: int
) -> tuple[list[int], list[bool], list[ThinkingEnd | None]]:
    """Feeds a model that wants to say `wanted`, but says what is forced where anything is."""
    tracker, ids, inside, ends = ThoughtTracker(limit), [], [], []
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


def test_what_only_the_text_shows_can_be_told() -> None:
    tracker = ThoughtTracker(ThinkingLimit(True, (), LONG_CLOSE, budget_tokens=2))
    tracker.push(1)
    tracker.correct(False)
    assert [tracker.push(2), tracker.push(2)] == [(False, None)] * 2
    tracker.correct(True)
    assert tracker.push(3) == (True, None)
    assert tracker.forced() == LONG_CLOSE[0]
    tracker.correct(False)  # too late: the tag is on its way
    assert tracker.forced() == LONG_CLOSE[0]


@pytest.mark.parametrize("seed", range(20))
def test_the_budget_is_never_exceeded(seed: int) -> None:
    rng = random.Random(seed)
    budget = rng.randrange(6)
    limit = ThinkingLimit(rng.random() < 0.5, (1, 2), (2, 2, 3), budget)
    wanted = [rng.randrange(1, 5) for _ in range(200)]
    _, inside, ends = _run(limit, wanted, 200)
    assert sum(inside) <= budget
    assert set(ends) <= {None, "natural", "budget"}
