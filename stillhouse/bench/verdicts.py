"""What two cells under the same load say of each other, figure by figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from stillhouse.bench import statistics
from stillhouse.bench.figures import percent, seconds, three_figures
from stillhouse.bench.records import Cell, RequestRecord
from stillhouse.bench.slo import Slo
from stillhouse.bench.statistics import Draws, Statistic, draws_of, ratio_of, throughput_draws
from stillhouse.units import format_bytes

Verdict = Literal[
    "better",
    "worse",
    "no difference that these runs can show",
    "too few requests",
    "set by the load",
    "known of one run only",
]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both runs, B's over A's, and between what that lies in 95 of 100 runs.

    `low` and `high` are None where nothing says how far chance could have moved the figures;
    `ratio` where one of them is nothing.
    """

    name: str
    title: str
    form: Callable[[float], str]
    a: float | None
    b: float | None
    verdict: Verdict
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    is_regression: bool = False

    def as_json(self) -> dict[str, float | str | bool | None]:
        names = ("name", "a", "b", "ratio", "low", "high", "verdict", "is_regression")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    title: str
    form: Callable[[float], str]
    more_is_better: bool = False


_THROUGHPUT = _Kind("output_tokens_per_s", "output tok/s", three_figures, more_is_better=True)
_GOODPUT = _Kind("goodput_share", "promises kept", percent, more_is_better=True)
_MEMORY = _Kind("peak_memory_bytes", "peak memory", format_bytes)
_ERRORS = _Kind("errors", "failed requests", lambda count: f"{count:,.0f}")
_SPREADS = (("ttft_s", "TTFT"), ("ttfat_s", "first answer"), ("tpot_s", "TPOT"), ("e2e_s", "E2E"))


def figures_of(a: Cell, b: Cell, *, slo: Slo | None, threshold: float, seed: int) -> list[Figure]:
    """Those that at least one of the runs has.

    `slo` is what both promised; None where that differs, and nobody's goodput is compared. A
    regression is a whole interval on the worse side of 1 by more than `threshold` (0.05 is 5 %), or
    requests that fail more often.
    """
    judge = _Judge(threshold)
    found = [_throughput(a, b, judge, seed)]
    for name, title in _SPREADS:
        found += _spread(a, b, judge, seed, name, title)
    if slo is not None:
        found.append(_goodput(a, b, slo, judge, seed))
    found += [_memory(a, b, judge), _errors(a, b)]
    return [one for one in found if (one.a, one.b) != (None, None)]


def side_by_side(cell: Cell) -> int:
    """Requests that are open at the same time; of an open loop in the mean, by Little's law."""
    if cell.users is not None:
        return cell.users
    open_s = sum(record.e2e_s or 0.0 for record in cell.request_records)
    return max(1, round(open_s / cell.duration_s)) if cell.duration_s else 1


@dataclass(frozen=True, slots=True)
class _Judge:
    threshold: float

    def by_chance(
        self,
        kind: _Kind,
        a: float | None,
        b: float | None,
        draws: tuple[Draws | None, Draws | None],
    ) -> Figure:
        """By the interval of the ratio of both resampled figures."""
        if a is None or b is None:
            return _figure(kind, a, b, "known of one run only")
        plain = b / a if a and b else None
        if draws[0] is None or draws[1] is None:
            return _figure(kind, a, b, "too few requests", plain)
        interval = ratio_of(draws[1], draws[0])
        # Without any variation an equal share is no certainty: all kept, say, of a few.
        if interval is None or (a == b and interval.low == interval.high):
            return _figure(kind, a, b, "no difference that these runs can show", plain)
        ratio = None if plain is None else interval.value
        return self._within(kind, a, b, ratio, interval.low, interval.high)

    def alone(self, kind: _Kind, a: float | None, b: float | None) -> Figure:
        """By the threshold alone, of what a run has one figure of."""
        if a is None or b is None:
            return _figure(kind, a, b, "known of one run only")
        if not a or not b:
            return _figure(kind, a, b, "no difference that these runs can show")
        worse = self._worse(kind, b / a, b / a)
        better = self._worse(kind, a / b, a / b)
        verdict: Verdict = "no difference that these runs can show"
        if worse or better:
            verdict = "worse" if worse else "better"
        return _figure(kind, a, b, verdict, b / a, is_regression=worse)

    def _within(
        self, kind: _Kind, a: float, b: float, ratio: float | None, low: float, high: float
    ) -> Figure:
        verdict: Verdict = "no difference that these runs can show"
        if low > 1 or high < 1:
            verdict = "better" if (low > 1) == kind.more_is_better else "worse"
        return Figure(
            kind.name,
            kind.title,
            kind.form,
            a,
            b,
            verdict,
            ratio,
            low,
            high,
            is_regression=self._worse(kind, low, high),
        )

    def _worse(self, kind: _Kind, low: float, high: float) -> bool:
        return high < 1 - self.threshold if kind.more_is_better else low > 1 + self.threshold


def _figure(
    kind: _Kind,
    a: float | None,
    b: float | None,
    verdict: Verdict,
    ratio: float | None = None,
    *,
    is_regression: bool = False,
) -> Figure:
    return Figure(
        kind.name, kind.title, kind.form, a, b, verdict, ratio, is_regression=is_regression
    )


def _throughput(a: Cell, b: Cell, judge: _Judge, seed: int) -> Figure:
    figures = a.output_tokens_per_s, b.output_tokens_per_s
    if a.users is None or b.users is None:
        ratio = figures[1] / figures[0] if all(figures) else None
        return _figure(_THROUGHPUT, *figures, "set by the load", ratio)
    draws = (
        throughput_draws(a.request_records, users=a.users, seed=seed),
        throughput_draws(b.request_records, users=b.users, seed=seed + 1),
    )
    return judge.by_chance(_THROUGHPUT, *figures, draws)


def _spread(a: Cell, b: Cell, judge: _Judge, seed: int, name: str, title: str) -> Iterator[Figure]:
    statistic: Statistic
    for quantile, statistic, least in (
        ("p50", statistics.median, 0),
        ("p95", statistics.p95, statistics.LEAST_FOR_P95),
    ):
        kind = _Kind(f"{name}.{quantile}", f"{title} {quantile}", seconds)
        figures, draws = [], []
        for number, cell in enumerate((a, b)):
            spread = getattr(cell, name)
            figures.append(None if spread is None else getattr(spread, quantile))
            values = _values(cell, name)
            draws.append(
                draws_of(values, statistic, side_by_side=side_by_side(cell), seed=seed + number)
                if len(values) >= least
                else None
            )
        yield judge.by_chance(kind, figures[0], figures[1], (draws[0], draws[1]))


def _goodput(a: Cell, b: Cell, slo: Slo, judge: _Judge, seed: int) -> Figure:
    draws = [
        draws_of(
            [float(slo.is_kept(record)) for record in _by_start(cell)],
            statistics.share,
            side_by_side=side_by_side(cell),
            seed=seed + number,
        )
        for number, cell in enumerate((a, b))
    ]
    return judge.by_chance(_GOODPUT, a.goodput_share, b.goodput_share, (draws[0], draws[1]))


def _memory(a: Cell, b: Cell, judge: _Judge) -> Figure:
    return judge.alone(_MEMORY, a.peak_memory_bytes, b.peak_memory_bytes)


def _errors(a: Cell, b: Cell) -> Figure:
    """More of them, and more often: the runs may have asked differently many requests."""
    shares = [cell.errors / max(1, cell.errors + cell.requests) for cell in (a, b)]
    verdict: Verdict = "no difference that these runs can show"
    if b.errors > a.errors and shares[1] > shares[0]:
        verdict = "worse"
    elif b.errors < a.errors and shares[1] < shares[0]:
        verdict = "better"
    return _figure(_ERRORS, a.errors, b.errors, verdict, is_regression=verdict == "worse")


def _by_start(cell: Cell) -> list[RequestRecord]:
    return sorted(cell.request_records, key=lambda record: record.started_s)


def _values(cell: Cell, name: str) -> list[float]:
    """Of completed requests that have one, in the order in which they began."""
    values = (getattr(record, name) for record in _by_start(cell) if record.error is None)
    return [value for value in values if value is not None]
