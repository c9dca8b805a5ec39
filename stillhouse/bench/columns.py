"""The columns of a benchmark's table: one list for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from stillhouse.bench.figures import NOT_AVAILABLE, percent, seconds, three_figures
from stillhouse.bench.records import Cell
from stillhouse.units import format_bytes

Shown = Literal["always", "where_known", "where_it_varies"]
"""Always: that nobody knows it is worth a column. Where known: a table without it lacks nothing,
as without a rate in a closed loop. Where it varies: else the line above the table says it."""


@dataclass(frozen=True, slots=True)
class Column:
    """`value` of a cell is whatever `form` prints; None where there is nothing to print."""

    heading: str
    value: Callable[[Cell], Any]
    form: Callable[[Any], str] = str
    shown: Shown = "always"
    is_right: bool = True  # numbers are flush right, names flush left

    def text(self, cell: Cell) -> str:
        """The cell's figure, or '–'."""
        value = self.value(cell)
        return NOT_AVAILABLE if value is None else self.form(value)

    def says_something(self, cells: Sequence[Cell]) -> bool:
        """Whether a table of these cells needs it."""
        values = [self.value(cell) for cell in cells]
        if self.shown == "where_known":
            return any(value is not None for value in values)
        return self.shown == "always" or any(value != values[0] for value in values)


def columns_of(cells: Sequence[Cell]) -> list[Column]:
    """Those that a table of these cells needs, in their order."""
    return [column for column in _COLUMNS if column.says_something(cells)]


def table_of(cells: Sequence[Cell]) -> tuple[list[Column], list[list[str]]]:
    """The columns, and a row of texts for each cell; no headings."""
    columns = columns_of(cells)
    return columns, [[column.text(cell) for column in columns] for cell in cells]


def _of_spread(name: str, quantile: str) -> Callable[[Cell], float | None]:
    """`p50` of `ttft_s`, say; None where no request had one."""

    def value(cell: Cell) -> float | None:
        spread = getattr(cell, name)
        return None if spread is None else float(getattr(spread, quantile))

    return value


def _goodput(cell: Cell) -> tuple[float, float | None] | None:
    return None if cell.goodput_per_s is None else (cell.goodput_per_s, cell.goodput_share)


def _goodput_text(value: tuple[float, float | None]) -> str:
    per_s, share = value
    return three_figures(per_s) if share is None else f"{three_figures(per_s)} ({percent(share)})"


def _thought(cell: Cell) -> float | None:
    """Tokens; nothing where no reply had a thought."""
    return cell.mean_reasoning_tokens or None


def _count(number: int) -> str:
    return f"{number:,}"


_COLUMNS: tuple[Column, ...] = (
    Column("engine", attrgetter("engine"), is_right=False),
    Column("model", attrgetter("model"), shown="where_it_varies", is_right=False),
    Column("quant", attrgetter("quantization"), is_right=False),
    Column("workload", attrgetter("workload"), shown="where_it_varies", is_right=False),
    Column("prompt", attrgetter("prompt_tokens"), _count, "where_it_varies"),
    Column("output", attrgetter("output_tokens"), _count, "where_it_varies"),
    Column("users", attrgetter("users"), _count, "where_known"),
    Column("req/s offered", attrgetter("rate_per_s"), three_figures, "where_known"),
    Column("output tok/s", attrgetter("output_tokens_per_s"), three_figures),
    Column("tok/s per user", attrgetter("user_tokens_per_s"), three_figures),
    Column("TTFT p50", _of_spread("ttft_s", "p50"), seconds),
    Column("TTFT p95", _of_spread("ttft_s", "p95"), seconds),
    Column("first answer p50", _of_spread("ttfat_s", "p50"), seconds),
    Column("TPOT p50", _of_spread("tpot_s", "p50"), seconds),
    Column("E2E p50", _of_spread("e2e_s", "p50"), seconds),
    Column("thought tok", _thought, three_figures, "where_known"),
    Column("answer tok", attrgetter("mean_answer_tokens"), three_figures, "where_it_varies"),
    Column("truncated", attrgetter("truncated_share"), percent, "where_known"),
    Column("looped", attrgetter("looped_share"), percent, "where_known"),
    Column("ended early", lambda cell: cell.short_outputs or None, _count, "where_known"),
    Column("errors", attrgetter("errors"), _count),
    Column("goodput req/s", _goodput, _goodput_text, "where_known"),
    Column("peak memory", attrgetter("peak_memory_bytes"), format_bytes),
    Column("of roofline", attrgetter("roofline_share"), percent),
    Column("speed-up", attrgetter("speedup"), lambda times: f"{times:.2f}x", "where_known"),
    Column("score kept", attrgetter("quality_recovery"), percent, "where_known"),
)
