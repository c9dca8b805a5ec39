"""Who has a say in the next token: constraints after thoughts, loops, stop ids in a thought."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine import Engine, LoopGuard, Request, SamplingParams, ThinkingLimit, TokenEvent
from tests.fakes import FakeKV, FakeModel, scripted

VOCAB = 20
OPEN, CLOSE, STOP = 1, 2, 0


def run(request: Request, next_ids: list[int] | int) -> list[TokenEvent]:
    """What comes of a model that wants to say `next_ids` after the prompt."""
    num_prompt = len(request.prompt_ids)

    def next_id(history: list[int]) -> int:
        if isinstance(next_ids, int):
            return next_ids
        return next_ids[min(len(history) - num_prompt, len(next_ids) - 1)]

    engine = Engine(FakeModel(scripted(VOCAB, next_id), vocab_size=VOCAB), FakeKV(40))
    return list(engine.generate(request))


class OnlyTens:
    """Allows 10 and above, and after three of them the end."""

    def __init__(self, pushed: tuple[int, ...] = ()) -> None:
        self.pushed = pushed

    def fork(self) -> Self:
        return type(self)(self.pushed)

    def allowed(self) -> NDArray[np.bool_]:
        allowed = np.zeros(VOCAB, np.bool_)
        allowed[STOP if len(self.pushed) == 3 else slice(10, None)] = True
        return allowed

    def push(self, token_id: int) -> None:
        assert self.allowed()[token_id]
        self.pushed += (token_id,)


def request(**parts: object) -> Request:
    sampling = SamplingParams(600, temperature=0, stop_ids=frozenset({STOP}))
    return Request((5, 6), sampling, **parts)  # type: ignore[arg-type]


def ids_of(events: list[TokenEvent]) -> list[int | None]:
    return [event.token_id for event in events]


def test_a_constraint_waits_for_the_end_of_the_thought() -> None:
    limit = ThinkingLimit(True, (OPEN,), (CLOSE,))
    events = run(request(thinking=limit, constraint=OnlyTens()), [3, 4, CLOSE, 12, 5, 13, 6])
    assert ids_of(events)[:4] == [3, 4, CLOSE, 12]
    assert all(i is not None and i >= 10 for i in ids_of(events)[4:6])
    assert (events[-1].token_id, events[-1].finish_reason) == (STOP, "stop")


def test_a_model_may_still_think_before_a_constrained_answer() -> None:
    limit = ThinkingLimit(False, (OPEN,), (CLOSE,))
    events = run(request(thinking=limit, constraint=OnlyTens()), [OPEN, 4, CLOSE, 12, 13, 14, 3])
    assert ids_of(events) == [OPEN, 4, CLOSE, 12, 13, 14, STOP]
    events = run(request(thinking=limit, constraint=OnlyTens()), [15, OPEN, 12, 3])
    assert all(i is not None and i >= 10 for i in ids_of(events)[:3])


def test_a_stop_id_in_a_thought_leads_to_the_answer_that_is_owed() -> None:
    limit = ThinkingLimit(True, (OPEN,), (7, 8), answer_reserve_tokens=10)
    events = run(request(thinking=limit), [3, STOP, 9, 9, STOP])
    assert ids_of(events) == [3, 7, 8, 9, STOP]
    assert events[2].thinking_end == "natural"
    without = ThinkingLimit(True, (OPEN,), (7, 8))
    assert ids_of(run(request(thinking=without), [3, STOP, 9])) == [3, STOP]


def test_no_stop_id_ends_a_reply_between_its_thought_and_its_answer() -> None:
    blank = 6
    limit = ThinkingLimit(
        True, (), (CLOSE,), answer_reserve_tokens=10, blank_ids=frozenset({blank})
    )
    wanted = [3, CLOSE, STOP, blank, STOP, STOP]
    events = run(request(thinking=limit), wanted)
    ids = ids_of(events)
    assert ids[:2] == [3, CLOSE]
    assert ids[2] != STOP  # the thought has just ended
    assert ids[-1] == STOP
    assert any(i not in (blank, STOP) for i in ids[2:])
    without = ThinkingLimit(True, (OPEN,), (CLOSE,))
    assert ids_of(run(request(thinking=without), wanted)) == [3, CLOSE, STOP]


def test_a_loop_closes_the_thought_and_then_ends_the_answer() -> None:
    limit = ThinkingLimit(True, (OPEN,), (CLOSE,))
    events = run(request(thinking=limit, loops=LoopGuard()), 4)
    ends = [(e.index, e.thinking_end) for e in events if e.thinking_end]
    assert [end for _, end in ends] == ["loop"]
    assert events[-1].finish_reason == "loop"
    assert 200 < ends[0][0] < 300
    assert 200 < events[-1].index - ends[0][0] < 300


def test_a_loop_nobody_looks_out_for_runs_on() -> None:
    assert len(run(request(), 4)) == 600


def test_the_client_closes_a_thought_and_the_answer_comes() -> None:
    limit = ThinkingLimit(True, (OPEN,), (CLOSE,))
    engine = Engine(FakeModel(scripted(VOCAB, lambda _: 4), vocab_size=VOCAB), FakeKV(40))
    number = engine.submit(request(thinking=limit))
    engine.step()
    engine.close_thought(number)
    event = engine.step()[0]
    assert (event.token_id, event.thinking_end) == (CLOSE, "client")
    engine.cancel(number)
    assert engine.step()[0].phase == "decode"


def test_a_cancelled_request_says_how_far_it_came() -> None:
    engine = Engine(FakeModel(scripted(VOCAB, lambda _: 4), vocab_size=VOCAB), FakeKV(40))
    number = engine.submit(request())
    engine.cancel(number)
    assert engine.step()[0].phase == "queue"
