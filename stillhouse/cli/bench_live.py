"""A benchmark while it runs: a bar for the cell, a line for each that is done, the time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stillhouse.bench.figures import percent, seconds, three_figures
from stillhouse.cli.live_bar import LiveBar, time_left

if TYPE_CHECKING:
    from stillhouse.bench.load import Load, Observed
    from stillhouse.bench.records import Cell
    from stillhouse.bench.systems import System
    from stillhouse.catalog import BenchLoad

_REDRAW_S = 0.2


class LiveBench(LiveBar):
    """Listens to a run and tells stderr."""

    def __init__(self, num_cells: int) -> None:
        """`num_cells` in the whole run; 0 where nobody knows."""
        super().__init__("rate")
        self._num_cells = num_cells
        self._num_done = 0
        self._began_at = self._cell_at = self._drawn_at = time.monotonic()
        self._pieces = 0

    def cell_begins(self, system: System, workload: BenchLoad, load: Load) -> None:
        """The bar starts anew."""
        who = system.facts.quantization or system.facts.model
        what = f"{load.users} users" if load.users else f"{load.rate_per_s:g} req/s"
        self._pieces, self._cell_at = 0, time.monotonic()
        self.begin(f"{who} · {workload.name} · {what}", total=load.requests, left=self._left())

    def piece(self) -> None:
        """Of any reply."""
        self._pieces += 1
        now = time.monotonic()
        if now - self._drawn_at > _REDRAW_S:
            self._drawn_at = now
            rate = self._pieces / max(1e-9, now - self._cell_at)
            self.update(rate=f"{rate:.0f} tok/s", left=self._left())

    def request_ended(self, _observed: Observed) -> None:
        """The bar moves."""
        self.update(advance=1)

    def cell_ended(self, cell: Cell) -> None:
        """A line that stays."""
        self._num_done += 1
        parts = [f"{three_figures(cell.output_tokens_per_s)} tok/s"]
        if cell.ttft_s is not None:
            parts.append(f"first token {seconds(cell.ttft_s.p50)}")
        if cell.ttfat_s is not None and cell.mean_reasoning_tokens:
            parts.append(f"first answer {seconds(cell.ttfat_s.p50)}")
        if cell.roofline_share is not None:
            parts.append(f"{percent(cell.roofline_share)} of the roofline")
        if cell.errors:
            parts.append(f"{cell.errors} failed")
        who = cell.quantization or cell.model
        self.hide()
        self.note(f"{who}, {cell.workload}, {cell.load}: {', '.join(parts)}")

    def _left(self) -> str:
        """Of the whole run, if the cells to come take as long as those that are done."""
        if not self._num_cells:
            return ""
        spent_s = time.monotonic() - self._began_at
        return time_left(spent_s, self._num_done, self._num_cells - self._num_done)
