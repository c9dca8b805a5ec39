"""How much faster one checkpoint is than another, as published comparisons give it: alone, by the
time of a whole answer; together, by the most answers a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.bench.records import Cell


@dataclass(frozen=True, slots=True)
class Series:
    """The cells of one model in one engine."""

    engine: str
    url: str | None
    model: str
    quantization: str | None

    @classmethod
    def of(cls, cell: Cell) -> Series:
        return cls(cell.engine, cell.url, cell.model, cell.quantization)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.engine, self.model, self.quantization)))


@dataclass(frozen=True, slots=True)
class Speedup:
    """Of `model` over `baseline`; None where one of them was not measured so."""

    model: str
    baseline: str
    workload: str
    single_stream_s: float | None  # median of a whole answer, one user
    single_stream_speedup: float | None
    multi_stream_per_s: float | None  # answers a second at the load where there are most
    multi_stream_speedup: float | None

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`."""
        return asdict(self)


def speedups(cells: Sequence[Cell]) -> list[Speedup]:
    """Of every series over the first, for each workload that both were given."""
    series = list(dict.fromkeys(map(Series.of, cells)))
    found = []
    for workload in dict.fromkeys((cell.workload, cell.prompt_tokens) for cell in cells):
        here = [cell for cell in cells if (cell.workload, cell.prompt_tokens) == workload]
        base = [cell for cell in here if Series.of(cell) == series[0]]
        for other in series[1:]:
            own = [cell for cell in here if Series.of(cell) == other]
            if not own or not base:
                continue
            alone, together = _alone_s(own), _most_per_s(own)
            found.append(
                Speedup(
                    model=str(other),
                    baseline=str(series[0]),
                    workload=workload[0],
                    single_stream_s=alone,
                    single_stream_speedup=_ratio(_alone_s(base), alone),
                    multi_stream_per_s=together,
                    multi_stream_speedup=_ratio(together, _most_per_s(base)),
                )
            )
    return found


def _alone_s(cells: Sequence[Cell]) -> float | None:
    return next((c.e2e_s.p50 for c in cells if c.users == 1 and c.e2e_s is not None), None)


def _most_per_s(cells: Sequence[Cell]) -> float | None:
    return max((cell.requests_per_s for cell in cells if cell.requests), default=None)


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None
