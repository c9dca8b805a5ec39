"""When memory runs out the latest arrival waits, and goes on as if nothing had happened."""

from __future__ import annotations

import numpy as np

from stillhouse.engine import Engine, Request, SamplingParams, ThinkingLimit
from tests.engine.oracle import Oracle
from tests.fakes import FakeKV, FakeModel, hashed

VOCAB = 50


def make(num_blocks: int, **options: int) -> Engine[FakeKV]:
    model = FakeModel(hashed(VOCAB), vocab_size=VOCAB)
    return Engine(model, FakeKV(num_blocks), admission="overcommit", **options)


def request(seed: int, prompt_tokens: int, max_tokens: int) -> Request:
    ids = np.random.default_rng(seed).integers(0, VOCAB, prompt_tokens)
    limit = ThinkingLimit(True, (), (48, 49), budget_tokens=25)
    return Request(tuple(ids.tolist()), SamplingParams(max_tokens, seed=seed), limit)


def expected(wanted: Request) -> list[int]:
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    return [oracle.next_id() for _ in range(wanted.sampling.max_tokens)]


def test_more_requests_run_than_their_worst_cases_allow_and_all_end_the_same() -> None:
    engine = make(8)
    wanted = [request(seed, 20, 100) for seed in range(4)]  # 4 blocks each in the end
    numbers = [engine.submit(r) for r in wanted]
    engine.step()
    assert engine.stats().running_requests == 4
    said: dict[int, list[int | None]] = {number: [] for number in numbers}
    order = []
    while engine.has_work:
        for event in engine.step():
            said[event.request_id].append(event.token_id)
            if event.finish_reason:
                order.append(event.request_id)
    assert order == numbers
    assert engine.stats().preemptions > 0
    for number, r in zip(numbers, wanted, strict=True):
        assert said[number] == expected(r)[1:]
    assert engine.num_unused_blocks == 8


def test_the_latest_arrival_goes_first_and_its_blocks_can_be_found() -> None:
    engine = make(5)
    early, late = (engine.submit(request(seed, 40, 80)) for seed in range(2))
    told = [{event.request_id for event in engine.step()} for _ in range(26)]
    assert told == [{early, late}] * 25 + [{early}]
    stats = engine.stats()
    assert (stats.running_requests, stats.waiting_requests) == (1, 1)
    assert stats.cached_blocks > 0
    engine.cancel(early)
    rows_before = engine.stats().rows
    events = engine.step()
    assert [event.request_id for event in events] == [early, late]
    assert engine.stats().rows - rows_before < 64  # what it had published was not computed again


def test_a_request_set_aside_goes_on_where_it_was() -> None:
    engine = make(8)
    wanted = request(3, 50, 40)
    number = engine.submit(wanted)
    said = []
    for _ in range(40):
        said += [event.token_id for event in engine.step()]
        engine.preempt(number)
    assert said == expected(wanted)
    assert engine.stats().preemptions == 39


def test_the_worst_case_rule_never_preempts() -> None:
    model = FakeModel(hashed(VOCAB), vocab_size=VOCAB)
    engine = Engine(model, FakeKV(8))
    for seed in range(4):
        engine.submit(request(seed, 20, 100))
    engine.step()
    assert engine.stats().running_requests == 2
    while engine.has_work:
        engine.step()
    assert engine.stats().preemptions == 0
