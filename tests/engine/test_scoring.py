"""Given tokens are scored as they would have been said, whatever is shared or runs beside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.engine import Engine, Request, SamplingParams, TokenEvent
from stillhouse.errors import BadCheckpoint, UsageError
from stillhouse.models.batch import Batch
from tests.fakes import FakeKV, FakeModel, hashed
from tests.reference import sampling as naive

VOCAB = 50


def make(num_blocks: int = 32, **options: Any) -> tuple[Engine[FakeKV], FakeModel]:
    model = FakeModel(hashed(VOCAB), vocab_size=VOCAB)
    return Engine(model, FakeKV(num_blocks), **options), model


def ids(seed: int, num_tokens: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(0, VOCAB, num_tokens).tolist())


def scoring(prompt: tuple[int, ...], start: int, *, max_tokens: int = 0, logprobs: int = 1) -> Any:
    return Request(prompt, SamplingParams(max_tokens, seed=3, logprobs=logprobs), score_from=start)


def drain(engine: Engine[FakeKV]) -> dict[int, list[TokenEvent]]:
    events: dict[int, list[TokenEvent]] = {}
    while engine.has_work:
        for event in engine.step():
            events.setdefault(event.request_id, []).append(event)
    return events


def expected(prompt: tuple[int, ...], position: int) -> NDArray[np.float64]:
    """Naive: log-probabilities of all tokens that may stand there."""
    return naive.log_softmax(hashed(VOCAB)(np.array(prompt[:position], np.int32)))


@pytest.mark.parametrize("max_rows", [7, 64, 512])
@pytest.mark.parametrize("start", [1, 31, 32, 33, 99, 199])
def test_scores_are_the_log_probabilities_of_the_tokens(max_rows: int, start: int) -> None:
    engine, model = make(max_rows=max_rows, max_sequences=4)
    prompt = ids(1, 200)
    (event,) = engine.generate(scoring(prompt, start, logprobs=2))
    assert (event.token_id, event.finish_reason, event.index) == (None, "length", 0)
    assert [score.token_id for score in event.scores] == list(prompt[start:])
    for position, score in enumerate(event.scores, start):
        naively = expected(prompt, position)
        assert score.logprob == pytest.approx(naively[score.token_id], abs=1e-5)
        assert [i for i, _ in score.top_logprobs] == np.argsort(-naively)[:2].tolist()
    assert sum(model.num_rows_seen) == 199  # nothing follows the last token
    assert engine.num_unused_blocks == 32


def test_what_follows_a_scored_prompt_is_what_follows_it_otherwise() -> None:
    prompt = ids(2, 70)
    plain = [*make()[0].generate(Request(prompt, SamplingParams(9, seed=3, logprobs=1)))]
    events = [*make()[0].generate(scoring(prompt, 1, max_tokens=9))]
    assert [(e.token_id, e.logprob) for e in events] == [(e.token_id, e.logprob) for e in plain]
    assert [len(event.scores) for event in events] == [69] + [0] * 8


def test_what_is_cached_before_the_first_scored_token_is_not_computed_again() -> None:
    engine, model = make()
    prompt = ids(3, 100)
    list(engine.generate(Request(prompt, SamplingParams(1))))
    model.num_rows_seen.clear()
    (event,) = engine.generate(scoring((*prompt, 1, 2, 3), 100))
    assert event.cached_tokens == 96
    assert sum(model.num_rows_seen) == 6
    assert event.scores == next(make()[0].generate(scoring((*prompt, 1, 2, 3), 100))).scores


def test_continuations_cost_what_comes_after_their_prompt_and_score_as_alone() -> None:
    engine, model = make()
    prompt = ids(4, 75)
    tails = [(1,), (1, 2), (3, 4, 5), ids(5, 40)]
    parent = engine.submit(Request(prompt, SamplingParams(1, logprobs=1)))
    forks = [
        engine.fork(parent, 1, extra_ids=tail, max_tokens=0, is_scored=True)[0] for tail in tails
    ]
    events = drain(engine)
    assert sum(model.num_rows_seen) == 75 + sum(len(tail) - 1 for tail in tails)
    assert model.num_rows_seen[:2] == [75, 1 + 2 + 39]
    assert engine.num_unused_blocks == 32
    for fork, tail in zip(forks, tails, strict=True):
        (event,) = events[fork]
        (alone,) = make()[0].generate(scoring((*prompt, *tail), len(prompt)))
        assert event.scores == alone.scores
        assert len(event.scores) == len(tail)


@pytest.mark.parametrize("options", [{"max_sequences": 2}, {"num_blocks": 4}])
def test_continuations_without_room_wait_and_score_the_same(options: dict[str, int]) -> None:
    engine, _ = make(**options)
    prompt, tails = ids(6, 75), [(k, k + 1, k + 2) for k in range(9)]
    parent = engine.submit(Request(prompt, SamplingParams(1, logprobs=1)))
    forks = [
        engine.fork(parent, 1, extra_ids=tail, max_tokens=0, is_scored=True)[0] for tail in tails
    ]
    events = drain(engine)
    for fork, tail in zip(forks, tails, strict=True):
        (alone,) = make()[0].generate(scoring((*prompt, *tail), len(prompt)))
        assert events[fork][0].scores == alone.scores
    assert engine.num_unused_blocks == options.get("num_blocks", 32)


def test_scoring_changes_nothing_for_those_who_chat_meanwhile() -> None:
    engine, model = make(max_rows=24, max_sequences=6)
    chats = [Request(ids(k, 20 + k), SamplingParams(30, seed=k, logprobs=1)) for k in range(3)]
    numbers = [engine.submit(chat) for chat in chats]
    begun = engine.step()
    texts = [scoring(ids(k, 90), 1 + 40 * (k % 2)) for k in range(10, 14)]
    scored = [engine.submit(text) for text in texts]
    events = drain(engine)
    for number, request in zip([*numbers, *scored], [*chats, *texts], strict=True):
        told = [e for e in begun if e.request_id == number] + events[number]
        alone = list(make()[0].generate(request))
        assert [(e.token_id, e.logprob) for e in told] == [(e.token_id, e.logprob) for e in alone]
        assert [e.scores for e in told] == [e.scores for e in alone]
    assert model.num_rows_seen[2] == 24


def test_a_step_makes_logits_for_a_bounded_number_of_given_tokens() -> None:
    engine, model = make(64)
    outputs = []
    forward = model.forward

    def watched(batch: Batch, kv: FakeKV) -> NDArray[np.float32]:
        outputs.append(len(batch.logit_rows))
        return forward(batch, kv)

    model.forward = watched  # type: ignore[method-assign]
    engine.submit(Request(ids(1, 10), SamplingParams(20)))
    for seed in range(4):
        engine.submit(scoring(ids(seed, 150), 1))
    assert sum(len(e.scores) for events in drain(engine).values() for e in events) == 4 * 149
    assert max(outputs) <= 128 + 5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_preempted_text_goes_on_scoring_where_it_was(steps: int) -> None:
    engine, model = make(max_rows=40, max_sequences=4)
    number = engine.submit(scoring(ids(7, 150), 50))
    for _ in range(steps):
        engine.step()
    engine.preempt(number)
    (event,) = drain(engine)[number]
    assert event.scores == next(make()[0].generate(scoring(ids(7, 150), 50))).scores
    assert sum(model.num_rows_seen) < 149 + 32  # published blocks are found again


def test_what_cannot_be_scored_is_refused() -> None:
    engine, _ = make()
    for start, max_tokens in ((0, 0), (2, 0), (-1, 5), (3, 5)):
        with pytest.raises(UsageError, match="cannot be scored"):
            scoring((1, 2), start, max_tokens=max_tokens)
    with pytest.raises(UsageError, match="max_tokens is 0"):
        Request((1, 2), SamplingParams(0))
    number = engine.submit(scoring((1, 2, 3), 1))
    with pytest.raises(UsageError, match="only scores"):
        engine.fork(number, 1)
    parent = engine.submit(Request((1, 2), SamplingParams(4)))
    for extra_ids, is_scored in (((), True), ((1,), False)):
        with pytest.raises(UsageError, match="are left"):
            engine.fork(parent, 1, extra_ids=extra_ids, max_tokens=0, is_scored=is_scored)


def test_logits_that_are_no_numbers_are_no_scores() -> None:
    model = FakeModel(lambda _: np.full(VOCAB, np.nan, np.float32), vocab_size=VOCAB)
    with pytest.raises(BadCheckpoint, match="not numbers"):
        Engine(model, FakeKV(4)).score([1, 2, 3])
