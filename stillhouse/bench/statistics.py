"""What a sample of requests says of all such requests: percentiles, and bootstrapped intervals.

Percentiles are numpy's, linear between the two nearest values: the same definition as in vLLM's
benchmark, so that both may stand in one table.

Requests that run side by side share batches and whatever else the machine does, so they are not
independent: n of them say less than n alone would. A closed loop of so many users goes in waves,
one request of each user; what is drawn again is therefore blocks of requests that followed each
other, two waves long, from anywhere in the run, which is taken as a circle (the circular block
bootstrap: Politis and Romano, 1992). Single waves proved too short in simulations, for neighbours
overlap. What changes more slowly than a few waves, as a machine between two runs, no resampling of
a run can show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.bench.records import RequestRecord, Spread
from stillhouse.intervals import student_t

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Of each row: (rows, n) → (rows,)."""

WAVES_A_BLOCK = 2
LEAST_BLOCKS = 3  # fewer say nothing of how they vary
LEAST_FOR_P95 = 20  # below, a p95 is nearly the largest value that happened to occur

_ROUNDS = 1000
_VALUES_AT_ONCE = 1 << 20  # 8 MiB of resampled values
_ZERO = 1e-12  # what is smaller is nothing, in seconds and in tokens a second


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Mean and percentiles of what has a value (None has none); None where nothing has one."""
    known = np.array([value for value in values if value is not None], np.float64)
    if not known.size:
        return None
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return Spread(known.size, float(known.mean()), float(p50), float(p95), float(p99))


def mean(rows: Floats) -> Floats:
    return np.asarray(rows.mean(-1))


def median(rows: Floats) -> Floats:
    return np.asarray(np.median(rows, -1))


def p95(rows: Floats) -> Floats:
    return np.asarray(np.percentile(rows, 95, -1))


def share(rows: Floats) -> Floats:
    """Of ones among zeros; half a one where there is none, so that shares can be divided."""
    return np.asarray(np.maximum(rows.mean(-1), 0.5 / (rows.shape[-1] + 1)))


class Interval(NamedTuple):
    """The figure, and what it lies between in 95 of 100 runs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Draws:
    """A figure of the sample, and the same of each resampling of its `num_blocks` blocks."""

    value: float
    draws: Floats
    num_blocks: float

    @property
    def is_positive(self) -> bool:
        return min(self.value, float(self.draws.min())) > _ZERO

    @property
    def log_variance(self) -> float:
        """Of the figure's logarithm. Blocks vary about their own mean, hence n / (n - 1)."""
        return float(np.log(self.draws).var()) * self.num_blocks / (self.num_blocks - 1)


def draws_of(
    values: Sequence[float], statistic: Statistic, *, side_by_side: int = 1, seed: int = 0
) -> Draws | None:
    """`values` are one a request, in the order in which they began, `side_by_side` at a time.

    None where there are fewer than `LEAST_BLOCKS` blocks. The same seed and number of values give
    the same resampling, whatever the values.
    """
    sample = np.asarray(values, np.float64)
    block = WAVES_A_BLOCK * side_by_side
    if sample.size < LEAST_BLOCKS * block:
        return None
    generator = np.random.default_rng(seed)
    rows = max(1, _VALUES_AT_ONCE // sample.size)
    drawn = [
        statistic(sample[_blocks(generator, min(rows, _ROUNDS - done), sample.size, block)])
        for done in range(0, _ROUNDS, rows)
    ]
    value = float(statistic(sample[None])[0])
    return Draws(value, np.concatenate(drawn), sample.size / block)


def throughput_draws(
    records: Sequence[RequestRecord], *, users: int, seed: int = 0
) -> Draws | None:
    """Output tokens a second of a closed loop in its steady state.

    Little's law: `users` requests are always open, each for mean(e2e_s), so users / mean(e2e_s)
    of them end a second, each with mean(output tokens). A failed request took its user's time and
    gave no tokens. How the run begins and ends, when fewer users are busy, is not in it.
    """
    timed = sorted(
        (record for record in records if record.e2e_s is not None), key=lambda one: one.started_s
    )
    written = [float(one.output_tokens) if one.error is None else 0.0 for one in timed]
    tokens = draws_of(written, mean, side_by_side=users, seed=seed)
    e2e_s = draws_of([one.e2e_s or 0.0 for one in timed], mean, side_by_side=users, seed=seed)
    if tokens is None or e2e_s is None or not e2e_s.is_positive:
        return None
    value = users * tokens.value / e2e_s.value
    return Draws(value, users * tokens.draws / e2e_s.draws, tokens.num_blocks)


def interval_of(draws: Draws) -> Interval | None:
    """The figure with its 95 % interval; None where it may be nothing at all.

    On a scale of logarithms, Student's t times the bootstrap's standard deviation: the figures are
    positive and skewed, and with few blocks the bootstrap's own percentiles are much too narrow.
    """
    if not draws.is_positive:
        return None
    width = math.sqrt(draws.log_variance) * student_t(draws.num_blocks - 1)
    return _around(draws.value, width)


def ratio_of(numerator: Draws, denominator: Draws) -> Interval | None:
    """Of two runs that know nothing of each other; degrees of freedom after Welch."""
    if not (numerator.is_positive and denominator.is_positive):
        return None
    ratio = numerator.value / denominator.value
    sides = (numerator, denominator)
    variance = sum(side.log_variance for side in sides)
    if variance == 0:
        return Interval(ratio, ratio, ratio)
    freedom = 1 / sum((side.log_variance / variance) ** 2 / (side.num_blocks - 1) for side in sides)
    return _around(ratio, math.sqrt(variance) * student_t(freedom))


def _blocks(
    generator: np.random.Generator, rows: int, size: int, block: int
) -> npt.NDArray[np.intp]:
    """(rows, size) indices into the sample."""
    starts = generator.integers(size, size=(rows, -(-size // block), 1))
    return ((starts + np.arange(block)) % size).reshape(rows, -1)[:, :size]


def _around(value: float, width: float) -> Interval:
    return Interval(value, value * math.exp(-width), value * math.exp(width))
