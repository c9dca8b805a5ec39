"""Requests run together as they would alone, and every one ends with one reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.engine import Engine, Request, SamplingParams, ThinkingLimit, TokenEvent
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.models.batch import Batch
from tests.fakes import FakeKV, FakeModel, check_batch, hashed, scripted
from tests.reference import sampling as naive

VOCAB = 50
Made = tuple[Engine[FakeKV], FakeModel]


def make(num_blocks: int = 16, **options: Any) -> Made:
    model = FakeModel(hashed(VOCAB), vocab_size=VOCAB)
    return Engine(model, FakeKV(num_blocks), **options), model


def request(seed: int, prompt_tokens: int, max_tokens: int = 8, **sampling: Any) -> Request:
    ids = np.random.default_rng(seed).integers(0, VOCAB, prompt_tokens)
    return Request(tuple(ids.tolist()), SamplingParams(max_tokens, seed=seed, **sampling))


def alone(wanted: Request) -> list[int | None]:
    engine, _ = make(64)
    return [event.token_id for event in engine.generate(wanted)]


def drain(engine: Engine[FakeKV]) -> dict[int, list[TokenEvent]]:
    events: dict[int, list[TokenEvent]] = {}
    while engine.has_work:
        for event in engine.step():
            events.setdefault(event.request_id, []).append(event)
    return events


def test_a_batch_gives_what_single_runs_give() -> None:
    engine, _ = make(64, max_rows=70, max_sequences=8)
    wanted = [request(seed, 1 + 37 * seed % 150, 5 + seed) for seed in range(12)]
    numbers = [engine.submit(r) for r in wanted]
    events = drain(engine)
    for number, r in zip(numbers, wanted, strict=True):
        assert [e.token_id for e in events[number]] == alone(r)
        assert [e.index for e in events[number]] == list(range(len(events[number])))
        assert [e.finish_reason for e in events[number]][-1] == "length"


def test_a_cached_prefix_gives_what_a_cold_one_gives() -> None:
    engine, model = make()
    first = request(1, 100)
    list(engine.generate(first))
    longer = Request((*first.prompt_ids, 3, 1, 4), first.sampling)
    model.num_rows_seen.clear()
    events = list(engine.generate(longer))
    assert [e.token_id for e in events] == alone(longer)
    assert events[0].cached_tokens == 96
    assert model.num_rows_seen[0] == 7


def test_a_prompt_that_is_all_cached_still_computes_its_last_block() -> None:
    engine, model = make()
    whole = request(2, 64)
    expected = [e.token_id for e in engine.generate(whole)]
    model.num_rows_seen.clear()
    assert [e.token_id for e in engine.generate(whole)] == expected
    assert model.num_rows_seen[0] == 32


def test_what_was_generated_can_be_shared_too() -> None:
    engine, _ = make()
    said = [e.token_id for e in engine.generate(request(3, 20, 60))]
    prompt = (*request(3, 20).prompt_ids, *(i for i in said if i is not None))
    events = list(engine.generate(Request(prompt, SamplingParams(4, seed=0))))
    assert events[0].cached_tokens == 64
    assert [e.token_id for e in events] == alone(Request(prompt, SamplingParams(4, seed=0)))


def test_prompts_run_in_chunks_and_never_stop_a_decode() -> None:
    engine, model = make(64, max_rows=16, max_sequences=4)
    talker = engine.submit(request(1, 4, 40))
    engine.step()
    engine.submit(request(2, 100, 2))
    for _ in range(7):
        assert talker in {event.request_id for event in engine.step()}
    assert max(model.num_rows_seen) == 16
    assert model.num_rows_seen[1:7] == [16] * 6


def test_requests_enter_in_order_when_their_worst_case_fits() -> None:
    engine, _ = make(4, max_sequences=4)
    first = engine.submit(request(1, 60, 20))  # 3 blocks in the end
    second = engine.submit(request(2, 30, 30))  # 2
    third = engine.submit(request(3, 5, 5))  # 1: would fit, but came after
    assert {e.request_id for e in engine.step()} == {first}
    engine.cancel(first)
    assert {e.request_id for e in engine.step()} == {first, second, third}


def test_the_largest_request_that_fits_fills_the_cache() -> None:
    engine, _ = make(2)
    assert len(list(engine.generate(request(1, 34, 30)))) == 30
    assert engine.num_unused_blocks == 2


def test_a_request_that_can_never_fit_is_refused_with_both_numbers() -> None:
    engine, _ = make(2)
    with pytest.raises(ContextTooLong, match=r"60 prompt tokens .* 65, .* holds 64"):
        engine.submit(request(1, 60, 5))
    small, _ = make(64, context_tokens=100)
    with pytest.raises(ContextTooLong, match="holds 100"):
        small.submit(request(1, 60, 41))
    with pytest.raises(ContextTooLong, match="5000 prompt tokens, but the context holds 100"):
        small.score([1] * 5000)


@pytest.mark.parametrize("prompt", [(), (VOCAB,), (3, -1)])
def test_a_prompt_that_no_model_can_read_is_refused(prompt: tuple[int, ...]) -> None:
    engine, _ = make()
    with pytest.raises(UsageError):
        engine.submit(Request(prompt, SamplingParams(1)))


def test_cancelling_frees_blocks_at_once_in_every_phase() -> None:
    engine, _ = make(8, max_rows=32, max_sequences=2)
    running = engine.submit(request(1, 20, 40))
    engine.step()
    prefilling = engine.submit(request(2, 100, 10))
    waiting = engine.submit(request(3, 100, 10))
    engine.step()
    for number in (waiting, prefilling, running):
        engine.cancel(number)
        engine.cancel(number)
    assert engine.num_unused_blocks == 8
    events = engine.step()
    assert [(e.request_id, e.finish_reason) for e in events] == [
        (waiting, "cancelled"),
        (prefilling, "cancelled"),
        (running, "cancelled"),
    ]
    assert [e.token_id for e in events] == [None] * 3
    assert not engine.has_work


def test_a_listener_that_leaves_cancels_its_request() -> None:
    engine, _ = make()
    stream = engine.generate(request(1, 40, 100))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert engine.num_unused_blocks == 16


def test_a_listener_hears_that_somebody_else_cancelled() -> None:
    engine, _ = make()
    number = engine.submit(request(1, 40, 100))
    stream = engine.follow(number)
    next(stream)
    engine.cancel(number)
    assert [event.finish_reason for event in stream] == ["cancelled"]


def test_a_stop_id_ends_a_request_and_can_be_ignored() -> None:
    full = alone(request(5, 10, 20))
    stop = full[6]
    assert stop is not None
    cut = alone(request(5, 10, 20, stop_ids=frozenset({stop})))
    assert cut == full[: full.index(stop) + 1]
    assert alone(request(5, 10, 20, stop_ids=frozenset({stop}), ignore_eos=True)) == full


def test_the_same_seed_gives_the_same_tokens_and_no_seed_does_not() -> None:
    assert alone(request(7, 10, 30)) == alone(request(7, 10, 30))
    unseeded = Request((1, 2), SamplingParams(30))
    assert alone(unseeded) != alone(unseeded)


def test_a_spent_budget_closes_the_thought_and_the_answer_follows() -> None:
    engine, _ = make()
    limit = ThinkingLimit(True, (), (48, 49), budget_tokens=6)
    thinking = Request((1, 2, 3), SamplingParams(20, seed=1), limit)
    events = list(engine.generate(thinking))
    assert [e.token_id for e in events[6:8]] == [48, 49]
    assert [e.in_thought for e in events] == [True] * 6 + [False] * 14
    assert [e.thinking_end for e in events if e.thinking_end] == ["budget"]


@pytest.mark.parametrize(
    ("sampling", "end"),
    [
        (SamplingParams(5, temperature=0), "context"),
        (SamplingParams(5, temperature=0, stop_ids=frozenset({9})), "natural"),
    ],
)
def test_a_thought_cut_off_says_how(sampling: SamplingParams, end: str) -> None:
    model = FakeModel(scripted(VOCAB, lambda history: 9 if len(history) > 4 else 1), vocab_size=50)
    engine = Engine(model, FakeKV(4))
    events = list(engine.generate(Request((1, 2), sampling, ThinkingLimit(True, (), (48,)))))
    assert events[-1].thinking_end == end


def test_cancelling_inside_a_thought_is_the_clients_doing() -> None:
    engine, _ = make()
    number = engine.submit(Request((1,), SamplingParams(9), ThinkingLimit(True, (), (48,))))
    engine.step()
    engine.cancel(number)
    assert [e.thinking_end for e in engine.step()] == ["client"]


def test_logprobs_come_when_asked_for() -> None:
    engine, _ = make()
    wanted = request(1, 10, 3, logprobs=2)
    history = list(wanted.prompt_ids)
    for event in engine.generate(wanted):
        expected = naive.log_softmax(hashed(VOCAB)(np.array(history, np.int32)))
        assert event.token_id is not None
        assert event.logprob == pytest.approx(expected[event.token_id], abs=1e-5)
        assert [i for i, _ in event.top_logprobs] == np.argsort(-expected)[:2].tolist()
        history.append(event.token_id)
    assert next(engine.generate(request(1, 10, 3))).logprob is None


@pytest.mark.parametrize("num_tokens", [2, 129, 300])
def test_scores_are_the_log_probabilities_of_the_next_tokens(num_tokens: int) -> None:
    engine, _ = make()
    ids = np.random.default_rng(num_tokens).integers(0, VOCAB, num_tokens).tolist()
    scores = engine.score(ids)
    assert scores.shape == (num_tokens - 1,)
    assert scores.dtype == np.float32
    for n in range(1, num_tokens):
        expected = naive.log_softmax(hashed(VOCAB)(np.array(ids[:n], np.int32)))[ids[n]]
        assert scores[n - 1] == pytest.approx(expected, abs=1e-5)
    assert engine.num_unused_blocks == 16


class Blind(FakeModel):
    """Checks batches, but computes nothing from them: for lengths at which the fake is slow."""

    def forward(self, batch: Batch, kv: FakeKV) -> NDArray[np.float32]:
        check_batch(batch, kv.num_blocks)
        self.num_rows_seen.append(len(batch.token_ids))
        return np.zeros((len(batch.logit_rows), VOCAB), np.float32)


def test_a_context_of_131072_tokens_can_be_filled_and_found_again() -> None:
    model = Blind(hashed(VOCAB), vocab_size=VOCAB, context_length=131_072)
    engine = Engine(model, FakeKV(4096))
    whole = request(1, 131_072 - 40, 40)
    assert len(list(engine.generate(whole))) == 40
    assert engine.stats().cached_blocks == 4095  # the last token was never computed
    model.num_rows_seen.clear()
    assert next(engine.generate(whole)).cached_tokens == 131_072 - 64
    assert model.num_rows_seen == [24]


def test_block_tables_are_as_wide_as_the_longest_sequence_of_the_step() -> None:
    engine, model = make(64)
    widths = []
    forward = model.forward

    def watched(batch: Batch, kv: FakeKV) -> NDArray[np.float32]:
        widths.append(batch.block_tables.shape[1])
        return forward(batch, kv)

    model.forward = watched  # type: ignore[method-assign]
    engine.submit(request(1, 30, 6))
    engine.submit(request(2, 100, 1))
    drain(engine)
    assert widths == [4, 1, 1, 2, 2, 2]


def test_stats_count_what_was_done() -> None:
    engine, _ = make(16)
    list(engine.generate(request(1, 100, 5)))
    list(engine.generate(request(1, 100, 5)))
    engine.submit(request(2, 33, 5))
    engine.step()
    stats = engine.stats()
    assert (stats.waiting_requests, stats.running_requests) == (0, 1)
    assert (stats.total_blocks, stats.held_blocks, stats.cached_blocks) == (16, 2, 3)
    assert (stats.prompt_tokens, stats.prompt_tokens_from_cache) == (233, 96)
    assert stats.hit_rate == 96 / 233
    assert (stats.steps, stats.rows) == (11, 100 + 4 + 4 + 4 + 33)
    assert (stats.generated_tokens, stats.preemptions) == (11, 0)
    assert make()[0].stats().hit_rate == 0
