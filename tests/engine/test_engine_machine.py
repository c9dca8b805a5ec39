"""Whatever is submitted, cancelled and stepped, in any order: right tokens, no block lost."""

from __future__ import annotations

import functools

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stillhouse.engine import Engine, Request, SamplingParams, ThinkingLimit, TokenEvent
from tests.fakes import FakeKV, FakeModel, hashed

VOCAB = 20
NUM_BLOCKS = 7


@functools.cache
def alone(request: Request) -> tuple[int, ...]:
    """What a request gives in an engine of its own, with room for all, cold."""
    engine = Engine(FakeModel(hashed(VOCAB), vocab_size=VOCAB), FakeKV(64))
    return tuple(e.token_id for e in engine.generate(request) if e.token_id is not None)


class EngineMachine(RuleBasedStateMachine):
    """Few blocks, few tokens and few prefixes, so that all of them collide."""

    @initialize(max_rows=st.integers(3, 80))
    def start(self, max_rows: int) -> None:
        self.engine = Engine(
            FakeModel(hashed(VOCAB), vocab_size=VOCAB),
            FakeKV(NUM_BLOCKS),
            max_rows=max_rows,
            max_sequences=3,
        )
        self.requests: dict[int, Request] = {}
        self.events: dict[int, list[TokenEvent]] = {}
        self.cancelled: set[int] = set()

    @rule(
        prefix=st.integers(0, 1),
        prefix_tokens=st.sampled_from([1, 32, 64, 90, 96]),
        own=st.sampled_from([(), (5,), (6, 7), (5,) * 33]),
        max_tokens=st.integers(1, 80),
        temperature=st.sampled_from([0.0, 1.0]),
        budget=st.none() | st.integers(0, 10),
    )
    def submit(
        self,
        prefix: int,
        prefix_tokens: int,
        own: tuple[int, ...],
        max_tokens: int,
        temperature: float,
        budget: int | None,
    ) -> None:
        shared = np.random.default_rng(0).integers(0, VOCAB, prefix_tokens)
        shared[0] = prefix  # so that the same second block follows two different first ones
        sampling = SamplingParams(
            max_tokens, temperature=temperature, seed=len(own), stop_ids=frozenset({0})
        )
        limit = None if budget is None else ThinkingLimit(prefix == 0, (1,), (2, 3), budget)
        request = Request((*shared.tolist(), *own), sampling, limit)
        self.requests[self.engine.submit(request)] = request

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.requests:
            number = data.draw(st.sampled_from(sorted(self.requests)))
            if not self.is_over(number):
                self.cancelled.add(number)
            self.engine.cancel(number)

    @rule(steps=st.sampled_from([1, 1, 2, 5, 20]))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            for event in self.engine.step():
                assert not self.is_over(event.request_id)
                self.events.setdefault(event.request_id, []).append(event)

    def is_over(self, number: int) -> bool:
        events = self.events.get(number, [])
        return bool(events) and events[-1].finish_reason is not None

    @invariant()
    def tokens_are_those_of_a_run_alone(self) -> None:
        for number, events in getattr(self, "events", {}).items():
            request = self.requests[number]
            said = tuple(e.token_id for e in events if e.token_id is not None)
            assert said == alone(request)[: len(said)]
            if request.thinking is not None and request.thinking.budget_tokens is not None:
                assert sum(e.in_thought for e in events if e.token_id is not None) <= (
                    request.thinking.budget_tokens
                )

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        while self.engine.has_work:
            self.step(1)
        assert self.engine.num_unused_blocks == NUM_BLOCKS
        for number, request in self.requests.items():
            assert self.is_over(number)
            last = self.events[number][-1]
            assert (last.finish_reason == "cancelled") == (number in self.cancelled)
            if number not in self.cancelled:
                assert len(self.events[number]) == len(alone(request))


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
