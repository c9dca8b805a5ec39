"""Forks go on from where their parent is, each by itself, on what is already computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stillhouse.engine import Engine, Request, SamplingParams
from stillhouse.errors import ContextTooLong, UsageError
from tests.engine.oracle import Oracle
from tests.fakes import FakeKV, FakeModel, hashed

VOCAB = 50


def make(num_blocks: int = 32, **options: Any) -> tuple[Engine[FakeKV], FakeModel]:
    model = FakeModel(hashed(VOCAB), vocab_size=VOCAB)
    return Engine(model, FakeKV(num_blocks), **options), model


def request(prompt_tokens: int, max_tokens: int = 20) -> Request:
    ids = np.random.default_rng(prompt_tokens).integers(0, VOCAB, prompt_tokens)
    return Request(tuple(ids.tolist()), SamplingParams(max_tokens, seed=7))


def drain(engine: Engine[FakeKV]) -> dict[int, list[int]]:
    said: dict[int, list[int]] = {}
    while engine.has_work:
        for event in engine.step():
            if event.token_id is not None:
                said.setdefault(event.request_id, []).append(event.token_id)
    return said


def rest(oracle: Oracle) -> list[int]:
    return [oracle.next_id() for _ in range(oracle.num_left)]


def test_samples_of_one_prompt_compute_it_once() -> None:
    engine, model = make()
    wanted = request(75)
    parent = engine.submit(wanted)
    forks = engine.fork(parent, 3)
    said = drain(engine)
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    assert model.num_rows_seen[:2] == [75, 4]
    for fork in forks:
        assert said[fork] == rest(oracle.fork())
    assert said[parent] == rest(oracle)
    assert len({tuple(ids) for ids in said.values()}) == 4
    assert engine.num_unused_blocks == 32


@pytest.mark.parametrize("num_blocks", [4, 32])
def test_each_sample_says_what_its_seed_says_alone(num_blocks: int) -> None:
    engine, model = make(num_blocks)
    wanted = request(75)
    seeds = (3, 1 << 30, 3, 0)
    numbers = engine.submit_samples(wanted, seeds)
    said = drain(engine)
    for number, seed in zip(numbers, seeds, strict=True):
        lone = replace(wanted, sampling=replace(wanted.sampling, seed=seed))
        assert said[number] == rest(Oracle(lone, hashed(VOCAB), VOCAB))
    assert model.num_rows_seen[0] == 75
    assert max(model.num_rows_seen[1:]) < 64  # nobody read the prompt's full blocks again
    with pytest.raises(UsageError, match="seed is -1"):
        engine.submit_samples(wanted, (-1,))


def test_samples_share_a_prompt_that_comes_in_chunks() -> None:
    engine, model = make(max_rows=30, max_sequences=8)
    parent = engine.submit(request(75))
    engine.step()
    engine.fork(parent, 2)
    said = drain(engine)
    assert model.num_rows_seen[:4] == [30, 30, 15, 3]
    assert [len(ids) for ids in said.values()] == [20] * 3


def test_a_fork_in_full_flight_says_what_its_history_and_its_seed_say() -> None:
    engine, model = make()
    wanted = request(40)
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    parent = engine.submit(wanted)
    for _ in range(5):
        (event,) = engine.step()
        assert event.token_id == oracle.next_id()
    fork, again = engine.fork(parent, 2)
    events = engine.step()
    assert [(e.request_id, e.index) for e in events] == [(parent, 5), (fork, 5), (again, 5)]
    assert model.num_rows_seen[-1] == 3
    first, second = oracle.fork(), oracle.fork()
    assert [e.token_id for e in events] == [o.next_id() for o in (oracle, first, second)]
    said = drain(engine)
    assert said == {parent: rest(oracle), fork: rest(first), again: rest(second)}


def test_a_fork_may_begin_with_words_put_in_its_mouth() -> None:
    engine, _ = make()
    wanted = request(40)
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    parent = engine.submit(wanted)
    engine.step()
    oracle.next_id()
    (probe,) = engine.fork(parent, 1, extra_ids=(1, 2, 3), max_tokens=2)
    (usual,) = engine.fork(parent, 1, extra_ids=(1, 2, 3))
    expected = {probe: rest(oracle.fork((1, 2, 3), 2)), usual: rest(oracle.fork((1, 2, 3)))}
    said = drain(engine)
    assert {number: said[number] for number in expected} == expected
    assert [len(said[number]) for number in (parent, probe, usual)] == [19, 2, 16]


def test_full_blocks_are_held_together_and_only_the_last_is_copied() -> None:
    engine, _ = make()
    parent = engine.submit(request(70, 4))
    engine.step()
    assert engine.stats().held_blocks == 3
    engine.fork(parent, 4)
    assert engine.stats().held_blocks == 3 + 4
    engine.cancel(parent)
    assert engine.stats().held_blocks == 2 + 4


def test_forks_without_room_wait_and_end_the_same() -> None:
    engine, _ = make(4)
    wanted = request(40, 60)
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    parent = engine.submit(wanted)
    engine.step()
    oracle.next_id()
    forks = engine.fork(parent, 3)
    assert engine.stats().waiting_requests == 3
    said = drain(engine)
    assert [said[fork] for fork in forks] == [rest(oracle.fork()) for _ in forks]
    assert engine.num_unused_blocks == 4


@pytest.mark.parametrize("steps_before", [0, 1])
def test_forks_outlive_a_parent_that_is_cancelled_before_its_first_token(steps_before: int) -> None:
    engine, _ = make(max_rows=30, max_sequences=8)
    wanted = request(75)
    parent = engine.submit(wanted)
    for _ in range(steps_before):
        engine.step()
    forks = engine.fork(parent, 2)
    engine.cancel(parent)
    said = drain(engine)
    oracle = Oracle(wanted, hashed(VOCAB), VOCAB)
    assert said == {fork: rest(oracle.fork()) for fork in forks}


def test_forks_go_before_later_requests() -> None:
    engine, _ = make(max_sequences=2)
    parent = engine.submit(request(10))
    engine.step()
    later = engine.submit(request(11))
    (fork,) = engine.fork(parent, 1)
    assert [event.request_id for event in engine.step()] == [parent, fork]
    assert later in drain(engine)


def test_a_fork_that_cannot_be_is_refused() -> None:
    engine, _ = make(2)
    parent = engine.submit(request(10, 4))
    with pytest.raises(UsageError, match="4 tokens to begin with, and 4 are left"):
        engine.fork(parent, 1, extra_ids=(1, 2, 3, 4))
    with pytest.raises(ContextTooLong, match="holds 64"):
        engine.fork(parent, 1, max_tokens=60)
    with pytest.raises(UsageError, match="vocabulary of 50"):
        engine.fork(parent, 1, extra_ids=(50,))
    engine.cancel(parent)
    with pytest.raises(UsageError, match="has ended"):
        engine.fork(parent, 1)
