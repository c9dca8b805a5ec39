"""Finds the knee: the largest value at which nearly every request keeps the promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stillhouse.bench.records import Cell

KEPT_SHARE = 0.95  # of the requests; one in twenty may be late

SweepKind = Literal["users", "context"]
_WHAT = {"users": "users at once", "context": "prompt tokens"}


@dataclass(frozen=True, slots=True)
class Tried:
    """A value, and what share of its requests kept the promises."""

    value: int
    kept: bool
    goodput_share: float | None
    errors: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """`found` is the largest value that was kept; None: not even the smallest. `is_limit`: larger
    ones were not tried, because the model's context or the option ends there.
    """

    kind: SweepKind
    model: str
    workload: str
    found: int | None
    is_limit: bool
    tried: tuple[Tried, ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`."""
        return asdict(self)


async def find_knee(
    kind: SweepKind,
    measure: Callable[[int], Awaitable[Cell]],
    *,
    model: str,
    workload: str,
    promise: str,
    least: int,
    most: int,
    step: int = 1,
    is_stopped: Callable[[], bool] = lambda: False,
) -> tuple[Sweep, list[Cell]]:
    """Doubles from `least` until a value fails or `most` is kept, then halves the gap down to
    `step`. Each trial is a cell. Assumes that what fails at a value fails beyond it.
    """
    tried: list[Tried] = []
    cells: list[Cell] = []

    async def keeps(value: int) -> bool:
        cell = await measure(value)
        share = cell.goodput_share
        kept = cell.is_complete and not cell.errors and share is not None and share >= KEPT_SHARE
        cells.append(cell)
        tried.append(Tried(value, kept, share, cell.errors))
        return kept

    good, bad, value = 0, None, least
    while not is_stopped():
        if await keeps(value):
            good = value
            if value >= most:
                break
            value = min(2 * value, most)
        else:
            bad = value
            break
    while bad is not None and good and bad - good > step and not is_stopped():
        middle = good + max(step, (bad - good) // 2 // step * step)
        if middle >= bad:
            break
        if await keeps(middle):
            good = middle
        else:
            bad = middle
    is_limit = bad is None
    return (
        Sweep(
            kind,
            model,
            workload,
            good or None,
            is_limit,
            tuple(tried),
            _sentence(kind, model, good, least, promise, is_limit=is_limit),
        ),
        cells,
    )


def _sentence(
    kind: SweepKind, model: str, good: int, least: int, promise: str, *, is_limit: bool
) -> str:
    if not good:
        return f"{model} keeps {promise} not even with {least:,} {_WHAT[kind]}"
    more = "; more were not tried" if is_limit else ""
    return f"{model} keeps {promise} up to {good:,} {_WHAT[kind]}{more}"
