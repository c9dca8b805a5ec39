"""Whatever is submitted, forked, cancelled and stepped, in any order and with too little memory:
right tokens, nobody lost or starved, no block lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stillhouse.engine import Admission, Engine, Request, SamplingParams, ThinkingLimit, TokenEvent
from stillhouse.engine.sampler import logprobs_of
from stillhouse.models.batch import BLOCK_TOKENS
from tests.engine.oracle import Oracle
from tests.fakes import FakeKV, FakeModel, LogitsOf, hashed

VOCAB = 20
MOST_BLOCKS = 9
MAX_OPEN = 12  # requests at a time: their forks would have no end
# A request waits for those before it, and each is at most a cache's worth of tokens, in chunks of
# two rows at least, perhaps computed again for each token of another one.
MOST_STEPS = MAX_OPEN * MOST_BLOCKS * BLOCK_TOKENS * 4


class EngineMachine(RuleBasedStateMachine):
    """Few blocks, few tokens and few prefixes, so that all of them collide."""

    vocab_size = VOCAB
    logits_of: LogitsOf = staticmethod(hashed(VOCAB))

    def make_engine(self, num_blocks: int, **options: Any) -> Engine[Any]:
        return Engine(FakeModel(self.logits_of, vocab_size=VOCAB), FakeKV(num_blocks), **options)

    @initialize(
        num_blocks=st.sampled_from([5, MOST_BLOCKS]),
        max_rows=st.sampled_from([4, 30, 80]),
        admission=st.sampled_from(["worst_case", "overcommit"]),
    )
    def start(self, num_blocks: int, max_rows: int, admission: Admission) -> None:
        self.num_blocks = num_blocks
        self.engine = self.make_engine(
            num_blocks, max_rows=max_rows, max_sequences=4, admission=admission
        )
        self.oracles: dict[int, Oracle] = {}  # of open requests
        self.scored: dict[int, int] = {}  # so many of the last tokens that they know at first
        self.cancelled: set[int] = set()
        self.num_ended = 0

    @rule(
        prefix=st.integers(0, 1),
        prefix_tokens=st.sampled_from([1, 32, 64, 90, 96]),
        own=st.sampled_from([(), (5,), (6, 7), (5,) * 33]),
        max_tokens=st.sampled_from([1, 10, 50, 80]),
        temperature=st.sampled_from([0.0, 1.0]),
        budget=st.none() | st.integers(0, 10),
        reserve=st.sampled_from([0, 0, 1, 8, 100]),
        soft=st.sampled_from([0, 3]),
    )
    def submit(
        self,
        prefix: int,
        prefix_tokens: int,
        own: tuple[int, ...],
        max_tokens: int,
        temperature: float,
        budget: int | None,
        reserve: int,
        soft: int,
    ) -> None:
        too_long = prefix_tokens + len(own) + max_tokens > self.engine.context_tokens
        if too_long or len(self.oracles) >= MAX_OPEN:
            return
        shared = np.random.default_rng(0).integers(0, VOCAB, prefix_tokens)
        shared[0] = prefix  # so that the same second block follows two different first ones
        sampling = SamplingParams(
            max_tokens, temperature=temperature, seed=len(own), stop_ids=frozenset({0})
        )
        limit = ThinkingLimit(
            open=prefix == 0,
            open_ids=(1,),
            close_ids=(2, 3),
            budget_tokens=budget,
            answer_reserve_tokens=reserve,
            soft_tokens=soft,
            boundary_ids=frozenset({4, 5}),
            blank_ids=frozenset({5, 6}),
        )
        request = Request((*shared.tolist(), *own), sampling, limit)
        oracle = Oracle(request, self.logits_of, self.vocab_size)
        self.oracles[self.engine.submit(request)] = oracle

    @rule(
        prefix_tokens=st.sampled_from([1, 32, 64, 90, 96]),
        own=st.sampled_from([(5,), (6, 7), (5,) * 33]),
        max_tokens=st.sampled_from([0, 0, 10]),
        num_scored=st.sampled_from([1, 2, 30, 100]),
    )
    def submit_scored(
        self, prefix_tokens: int, own: tuple[int, ...], max_tokens: int, num_scored: int
    ) -> None:
        num_prompt = prefix_tokens + len(own)
        if num_prompt + max_tokens > self.engine.context_tokens or len(self.oracles) >= MAX_OPEN:
            return
        shared = np.random.default_rng(0).integers(0, VOCAB, prefix_tokens)
        start = max(1, num_prompt - num_scored)
        request = Request(
            (*shared.tolist(), *own), SamplingParams(max_tokens, seed=1), score_from=start
        )
        number = self.engine.submit(request)
        self.oracles[number] = Oracle(request, self.logits_of, self.vocab_size)
        self.scored[number] = num_prompt - start

    @rule(
        data=st.data(),
        num_forks=st.integers(1, 3),
        extra_ids=st.sampled_from([(), (), (4,), (2, 3), (9,) * 35]),
        max_tokens=st.none() | st.integers(0, 40),
        is_scored=st.booleans(),
    )
    def fork(
        self,
        data: st.DataObject,
        num_forks: int,
        extra_ids: tuple[int, ...],
        max_tokens: int | None,
        is_scored: bool,
    ) -> None:
        if not self.oracles or len(self.oracles) + num_forks > MAX_OPEN:
            return
        number = data.draw(st.sampled_from(sorted(self.oracles)))
        parent = self.oracles[number]
        if parent.num_left == 0:  # only scores
            return
        more = parent.num_left - len(extra_ids) if max_tokens is None else max_tokens
        too_long = len(parent.history) + len(extra_ids) + more > self.engine.context_tokens
        least = 0 if is_scored and extra_ids else 1
        if more < least or too_long or number in self.cancelled:
            return
        forks = self.engine.fork(
            number, num_forks, extra_ids=extra_ids, max_tokens=max_tokens, is_scored=is_scored
        )
        for fork in forks:
            self.oracles[fork] = parent.fork(extra_ids, max_tokens)
            if is_scored:
                self.scored[fork] = len(extra_ids)

    @rule(data=st.data())
    def preempt(self, data: st.DataObject) -> None:
        if self.oracles:
            self.engine.preempt(data.draw(st.sampled_from(sorted(self.oracles))))

    @rule(data=st.data())
    def close_thought(self, data: st.DataObject) -> None:
        if self.oracles:
            number = data.draw(st.sampled_from(sorted(self.oracles)))
            if number not in self.cancelled:
                self.engine.close_thought(number)
                self.oracles[number].close_thought()

    @rule(data=st.data(), seldom=st.integers(0, 2))
    def cancel(self, data: st.DataObject, seldom: int) -> None:
        if self.oracles and seldom == 0:
            number = data.draw(st.sampled_from(sorted(self.oracles)))
            self.cancelled.add(number)
            self.engine.cancel(number)

    @rule(steps=st.sampled_from([1, 2, 5, 20, 60]))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            events = self.engine.step()
            assert len({event.request_id for event in events}) == len(events)
            for event in events:
                self.check(event)

    def check(self, event: TokenEvent) -> None:
        oracle = self.oracles[event.request_id]
        if event.finish_reason != "cancelled":
            self.check_scores(event, oracle.history)
        if event.token_id is None and event.finish_reason == "length":
            assert oracle.num_left == 0
        elif event.token_id is None:
            assert event.request_id in self.cancelled
            assert event.finish_reason == "cancelled"
        else:
            assert event.request_id not in self.cancelled
            assert event.token_id == oracle.next_id()
            assert (event.finish_reason is None) == (oracle.num_left > 0)
        if event.finish_reason is not None:
            del self.oracles[event.request_id]
            self.cancelled.discard(event.request_id)
            self.num_ended += 1

    def check_scores(self, event: TokenEvent, history: list[int]) -> None:
        given = np.array(history, np.int32)
        first = len(given) - self.scored.pop(event.request_id, 0)
        assert [score.token_id for score in event.scores] == given[first:].tolist()
        for position, score in enumerate(event.scores, first):
            logits = self.logits_of(given[:position])
            assert score.logprob == logprobs_of(logits, score.token_id, 0)[0]

    @invariant()
    def every_block_and_request_is_accounted_for(self) -> None:
        if not hasattr(self, "engine"):
            return
        stats = self.engine.stats()
        assert stats.held_blocks + stats.cached_blocks + stats.blank_blocks == self.num_blocks
        assert stats.waiting_requests + stats.running_requests == (
            len(self.oracles) - len(self.cancelled)
        )
        assert stats.held_blocks or not stats.running_requests
        assert 0 <= stats.hit_rate <= 1

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        for _ in range(MOST_STEPS):
            if not self.engine.has_work:
                break
            self.step(1)
        assert not self.oracles
        assert not self.engine.has_work
        assert self.engine.num_unused_blocks == self.num_blocks


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(
    max_examples=100,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
