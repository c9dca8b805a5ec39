"""Divergences and their figures against a naive twin in float64."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.quantize.divergence import Divergences, divergences, joined
from stillhouse.quantize.quality_figures import quality_figures, wilson_interval
from tests.reference.decoder import log_probabilities

VOCABULARY = 3000


def random_logits(
    seed: int, rows: int, spread: float = 3.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a source and of a model that is near it, and the tokens that came."""
    rng = np.random.default_rng(seed)
    source = rng.normal(0, spread, (rows, VOCABULARY)).astype(np.float32)
    other = source + rng.normal(0, 0.3, source.shape).astype(np.float32)
    return source, other, rng.integers(0, VOCABULARY, rows, dtype=np.int32)


def test_every_value_is_that_of_a_naive_twin() -> None:
    source, other, ids = random_logits(0, 40)
    found = divergences(source, other, ids)
    ours, theirs = log_probabilities(source), log_probabilities(other)
    rows = np.arange(40)
    np.testing.assert_allclose(found.source_nll, -ours[rows, ids], atol=2e-6)
    np.testing.assert_allclose(found.nll, -theirs[rows, ids], atol=2e-6)
    np.testing.assert_allclose(found.kl, (np.exp(ours) * (ours - theirs)).sum(axis=1), atol=1e-6)
    assert (found.same_top == (ours.argmax(axis=1) == theirs.argmax(axis=1))).all()
    differences = np.exp(theirs[rows, ids]) - np.exp(ours[rows, ids])
    np.testing.assert_allclose(found.probability_differences, differences, atol=1e-6)


def test_a_model_does_not_diverge_from_itself_at_all() -> None:
    source, _, ids = random_logits(1, 30)
    figures = quality_figures(divergences(source, source.copy(), ids))
    assert (figures.kl.value, figures.kl.error) == (0.0, 0.0)
    assert set(figures.kl_percentiles.values()) == {0.0}
    assert figures.same_top.value == 1.0
    assert (figures.perplexity_ratio.value, figures.perplexity_ratio.error) == (1.0, 0.0)
    assert (figures.perplexity_difference.value, figures.perplexity_difference.error) == (0.0, 0.0)
    assert figures.delta_p_rms.value == 0.0


def test_logits_may_be_shifted_as_they_like() -> None:
    source, other, ids = random_logits(2, 10)
    plain, shifted = divergences(source, other, ids), divergences(source + 50, other - 20, ids)
    np.testing.assert_allclose(shifted.kl, plain.kl, atol=1e-4)
    np.testing.assert_allclose(shifted.nll, plain.nll, atol=1e-4)


def test_figures_are_llama_cpps_from_sums_of_products() -> None:
    """Its way: variances and covariance of both, over n - 1; ours are of the difference."""
    source, other, ids = random_logits(3, 400, spread=1.5)
    found = divergences(source, other, ids)
    a, b, n = found.nll, found.source_nll, 400
    variance = {name: (v**2).mean() - v.mean() ** 2 for name, v in {"a": a, "b": b}.items()}
    covariance = ((a * b).mean() - a.mean() * b.mean()) / (n - 1)
    error_a, error_b = (np.sqrt(variance[name] / (n - 1)) for name in "ab")
    ratio = np.exp(a.mean() - b.mean())
    ratio_error = ratio * np.sqrt(error_a**2 + error_b**2 - 2 * covariance)
    ours, theirs = np.exp(a.mean()), np.exp(b.mean())
    difference_error = np.sqrt(
        (ours * error_a) ** 2 + (theirs * error_b) ** 2 - 2 * ours * theirs * covariance
    )
    squares = (np.exp(-a) - np.exp(-b)) ** 2
    rms = np.sqrt(squares.mean())

    figures = quality_figures(found)
    pairs = [
        (figures.perplexity, ours, ours * error_a),
        (figures.source_perplexity, theirs, theirs * error_b),
        (figures.perplexity_ratio, ratio, ratio_error),
        (figures.perplexity_difference, ours - theirs, difference_error),
        (figures.kl, found.kl.mean(), found.kl.std() / np.sqrt(n - 1)),
        (figures.delta_p_rms, rms, squares.std() / np.sqrt(n - 1) / 2 / rms),
    ]
    for figure, value, error in pairs:
        assert figure.value == pytest.approx(value, rel=1e-9)
        assert figure.error == pytest.approx(error, rel=1e-6)
    assert figures.log_perplexity_correlation == pytest.approx(covariance / (error_a * error_b))
    assert figures.kl_percentiles["90"] == pytest.approx(np.percentile(found.kl, 90))
    share = found.same_top.mean()
    assert figures.same_top.error == pytest.approx(np.sqrt(share * (1 - share) / (n - 1)))


def test_the_interval_of_a_share_holds_the_true_one_19_times_in_20() -> None:
    rng = np.random.default_rng(4)
    for true in (0.03, 0.5, 0.97):
        intervals = [wilson_interval(int(hits), 200) for hits in rng.binomial(200, true, 2000)]
        held = np.mean([low <= true <= high for low, high in intervals])
        assert 0.92 < held < 0.99


def test_parts_join_in_their_order() -> None:
    source, other, ids = random_logits(5, 12)
    whole = divergences(source, other, ids)
    parts = joined([divergences(source[a:b], other[a:b], ids[a:b]) for a, b in ((0, 5), (5, 12))])
    for name in Divergences._fields:
        assert (getattr(parts, name) == getattr(whole, name)).all()
