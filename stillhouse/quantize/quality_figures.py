"""What a quantisation costs, as figures with their standard errors.

Definitions as in llama.cpp's tools/perplexity, whose tables these are comparable with: errors take
the scored tokens as independent, and differences between the models take into account that both
read the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.quantize.divergence import Divergences, Doubles

_KL_PERCENTILES = (50, 90, 95, 99, 99.9, 100)
_DELTA_PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
_Z = 1.959964  # 95 % of a normal distribution lie within


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class QualityFigures:
    """A model against its source on one text.

    Attributes:
        tokens: how many predictions were scored.
        perplexity, source_perplexity: exp of the mean -log probability of the tokens that came.
        perplexity_ratio, perplexity_difference: of the two.
        log_perplexity_correlation: between the two; None where one of them does not vary.
        kl: mean Kullback-Leibler divergence from the source, in nats.
        kl_percentiles: by percentile; 100 is the largest.
        same_top: share of predictions whose likeliest token is the source's.
        same_top_interval: its 95 % interval (Wilson).
        delta_p: mean of how much likelier the token that came is to this model, from -1 to 1.
        delta_p_rms: root of the mean square of that.
        delta_p_percentiles: as of the divergence.
    """

    tokens: int
    perplexity: Estimate
    source_perplexity: Estimate
    perplexity_ratio: Estimate
    perplexity_difference: Estimate
    log_perplexity_correlation: float | None
    kl: Estimate
    kl_percentiles: dict[str, float]
    same_top: Estimate
    same_top_interval: tuple[float, float]
    delta_p: Estimate
    delta_p_rms: Estimate
    delta_p_percentiles: dict[str, float]


def quality_figures(found: Divergences) -> QualityFigures:
    """Sum up at least two predictions."""
    count = len(found.nll)
    log_own, log_source = _mean(found.nll), _mean(found.source_nll)
    own, source = _exponential(log_own), _exponential(log_source)
    # To first order; the two errors are of the same tokens, so the difference is taken first.
    weighed = own.value * found.nll - source.value * found.source_nll
    delta = found.probability_differences
    squares = _mean(delta**2)
    rms = math.sqrt(squares.value)
    share = float(np.mean(found.same_top))
    return QualityFigures(
        tokens=count,
        perplexity=own,
        source_perplexity=source,
        perplexity_ratio=_exponential(_mean(found.nll - found.source_nll)),
        perplexity_difference=Estimate(own.value - source.value, _mean(weighed).error),
        log_perplexity_correlation=_correlation(found.nll, found.source_nll),
        kl=_mean(found.kl),
        kl_percentiles=_percentiles(found.kl, _KL_PERCENTILES),
        same_top=Estimate(share, math.sqrt(share * (1 - share) / (count - 1))),
        same_top_interval=wilson_interval(int(found.same_top.sum()), count),
        delta_p=_mean(delta),
        delta_p_rms=Estimate(rms, 0.5 / rms * squares.error if rms else 0.0),
        delta_p_percentiles=_percentiles(delta, _DELTA_PERCENTILES),
    )


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, 1927): of use near 0 and 1 too."""
    share, spread = hits / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return middle - half, middle + half


def _mean(values: Doubles) -> Estimate:
    mean = float(np.mean(values))
    variance = float(np.mean((values - mean) ** 2))
    return Estimate(mean, math.sqrt(variance / (len(values) - 1)))


def _exponential(log: Estimate) -> Estimate:
    value = math.exp(log.value)
    return Estimate(value, value * log.error)


def _correlation(a: Doubles, b: Doubles) -> float | None:
    spreads = float(np.std(a) * np.std(b))
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spreads if spreads else None


def _percentiles(values: NDArray[np.float64], at: tuple[float, ...]) -> dict[str, float]:
    found = np.percentile(values, at)
    return {f"{name:g}": float(value) for name, value in zip(at, found, strict=True)}
