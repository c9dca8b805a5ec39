"""The fast sampler draws exactly as the rule says, which its naive twin spells out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stillhouse.engine.sampler import Sampler, SamplingParams, logprobs_of
from stillhouse.errors import BadCheckpoint, UsageError
from tests.reference import sampling as naive


def _logits(seed: int, vocab_size: int, spread: float = 3.0) -> NDArray[np.float32]:
    return spread * np.random.default_rng(seed).standard_normal(vocab_size, np.float32)


FILTERS: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.6, "top_p": 0.95},
    {"temperature": 0.7, "top_p": 0.9, "top_k": 20},
    {"temperature": 1.5, "min_p": 0.1},
    {"temperature": 0.3, "top_k": 5, "min_p": 0.01, "top_p": 0.5},
    {"temperature": 5.0, "top_p": 0.999},
    {"temperature": 1.0, "min_p": 1.0},
    {"temperature": 0.01, "top_k": 1000},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("vocab_size", [1, 7, 1000, 4097])
@pytest.mark.parametrize("spread", [0.5, 3.0, 12.0])
def test_survivors_and_their_probabilities_equal_the_twins(
    filters: dict[str, Any], vocab_size: int, spread: float
) -> None:
    logits = _logits(vocab_size, vocab_size, spread)
    expected = naive.distribution(logits, **filters)
    ids, weights = Sampler(vocab_size).survivors(logits, SamplingParams(1, **filters))
    found = dict(zip(ids.tolist(), (weights / weights.sum(dtype=np.float64)).tolist(), strict=True))
    assert list(found) == sorted(found)
    for token_id in expected.keys() | found.keys():
        assert found.get(token_id, 0) == pytest.approx(
            expected.get(token_id, 0), rel=1e-4, abs=1e-9
        )


@given(
    logits=st.integers(0, 10_000).map(lambda seed: _logits(seed, 20_000, spread=3.0)),
    lead=st.floats(0, 30),
    top_k=st.integers(1, 200),
    num_distinct=st.sampled_from([3, 100, 10_000]),
)
@settings(max_examples=60, deadline=None)
def test_the_best_of_a_large_vocabulary_are_kept(
    logits: NDArray[np.float32], lead: float, top_k: int, num_distinct: int
) -> None:
    """Whether the model is sure of one token or not, and however many are equal."""
    step = np.float32(12 / num_distinct)
    logits = np.round(logits / step) * step
    logits[1234] += np.float32(lead)
    params = SamplingParams(1, temperature=20.0, top_k=top_k)
    ids, _ = Sampler(len(logits)).survivors(logits, params)
    by_rank = np.lexsort((np.arange(len(logits)), -logits))
    assert ids.tolist() == sorted(by_rank[:top_k].tolist())


@given(seed=st.integers(0, 10_000), filters=st.sampled_from(FILTERS))
@settings(max_examples=60, deadline=None)
def test_draws_equal_the_twins(seed: int, filters: dict[str, Any]) -> None:
    logits = _logits(seed, 3000)
    token_id = Sampler(3000).sample(
        logits, SamplingParams(1, **filters), np.random.default_rng(seed)
    )
    uniform = np.random.default_rng(seed).random()
    expected = naive.distribution(logits, **filters)
    near = {naive.draw(expected, uniform + shift) for shift in (-1e-5, 0, 1e-5)}
    assert token_id in near


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    logits, params = _logits(3, 40, 1.0), SamplingParams(1, temperature=0.8, top_p=0.9)
    rng, sampler, draws = np.random.default_rng(5), Sampler(40), 20_000
    counts = np.bincount([sampler.sample(logits, params, rng) for _ in range(draws)], minlength=40)
    probabilities = np.zeros(40)
    for token_id, probability in naive.distribution(logits, temperature=0.8, top_p=0.9).items():
        probabilities[token_id] = probability
    assert not counts[probabilities == 0].any()
    expected = draws * probabilities[probabilities > 0]
    chi_squared = ((counts[probabilities > 0] - expected) ** 2 / expected).sum()
    degrees = len(expected) - 1
    assert chi_squared < degrees + 4 * np.sqrt(2 * degrees)


def test_equal_logits_prefer_lower_ids() -> None:
    logits, sampler = np.zeros(100, np.float32), Sampler(100)
    greedy = SamplingParams(1, temperature=0)
    assert sampler.sample(logits, greedy, np.random.default_rng()) == 0
    assert sampler.survivors(logits, SamplingParams(1, top_k=3)).ids.tolist() == [0, 1, 2]
    assert sampler.survivors(logits, SamplingParams(1, top_p=0.035)).ids.tolist() == [0, 1, 2, 3]


def test_greedy_takes_the_most_probable_and_draws_nothing() -> None:
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    logits = _logits(9, 500)
    assert Sampler(500).sample(logits, SamplingParams(1, temperature=0), rng) == logits.argmax()
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("temperature", [0.0, 0.6])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_one_line(temperature: float, bad: float) -> None:
    logits = _logits(1, 50)
    logits[7] = bad
    with pytest.raises(BadCheckpoint, match="not numbers"):
        Sampler(50).sample(
            logits, SamplingParams(1, temperature=temperature), np.random.default_rng()
        )


def test_tokens_ruled_out_with_minus_infinity_are_never_drawn() -> None:
    logits = np.full(5000, -np.inf, np.float32)
    logits[[3, 4000]] = 1.0
    sampler, rng = Sampler(5000), np.random.default_rng(0)
    drawn = {sampler.sample(logits, SamplingParams(1, top_p=0.99), rng) for _ in range(50)}
    assert drawn == {3, 4000}


def test_logprobs_are_of_the_unchanged_distribution() -> None:
    logits = _logits(4, 1000)
    expected = naive.log_softmax(logits)
    for num_best in (0, 1, 5):
        logprob, best = logprobs_of(logits, 17, num_best)
        assert logprob == pytest.approx(expected[17], abs=1e-5)
        assert [i for i, _ in best] == np.argsort(-expected)[:num_best].tolist()
        assert [p for _, p in best] == pytest.approx(sorted(expected)[::-1][:num_best], abs=1e-5)


def test_of_equally_probable_tokens_the_lowest_is_named() -> None:
    logits = np.zeros(100, np.float32)
    logits[[70, 30, 50]] = 2.0
    assert [i for i, _ in logprobs_of(logits, 0, 1)[1]] == [30]
    assert [i for i, _ in logprobs_of(logits, 0, 2)[1]] == [30, 50]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": -1},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"min_p": 1.5},
        {"seed": -1},
        {"logprobs": 21},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SamplingParams(**({"max_tokens": 1} | wrong))
