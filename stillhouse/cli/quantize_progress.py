"""What `still quantize` says while it works: one bar on stderr, with the tensor at hand."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stillhouse.units import format_bytes

if TYPE_CHECKING:
    from stillhouse.quantize.plan import Plan, PlannedTensor


class QuantizeBar:
    """Bytes of the new file, rate and time left; a context manager."""

    def __init__(self, plan: Plan) -> None:
        from rich import progress
        from rich.console import Console

        self._total = len(plan.tensors)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=plan.tensor_bytes)
        self.resumed_bytes = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def resumed(self, num_tensors: int, num_bytes: int) -> None:
        self.resumed_bytes = num_bytes
        self._bar.advance(self._task, num_bytes)
        print(
            f"going on behind {num_tensors} tensors ({format_bytes(num_bytes)}) of an earlier run",
            file=sys.stderr,
        )

    def tensor(self, number: int, planned: PlannedTensor) -> None:
        spec = planned.spec
        how = "kept" if planned.is_copied else f"{planned.source_format} → {spec.encoding.name}"
        text = f"{number + 1}/{self._total} {spec.name} {how}"
        self._bar.update(self._task, description=text)

    def wrote(self, num_bytes: int) -> None:
        self._bar.advance(self._task, num_bytes)


class MeasuringBar:
    """Matrices that are measured for the dynamic recipe; a context manager."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("measuring errors"),
            progress.BarColumn(bar_width=None),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def at(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)
