"""What a pull says while it works. ``QUIET`` says nothing; ``TerminalProgress`` draws a bar."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import rich.progress


class Progress(Protocol):
    """Told what happens: notes, and for each file ``start``, ``at`` many times, ``end``."""

    def note(self, text: str) -> None:
        """One line for the user that is no error."""

    def start(self, file: str, total_bytes: int | None) -> None:
        """``file`` begins; None where nobody has said how large it is."""

    def at(self, done_bytes: int, detail: str = "") -> None:
        """So much is here now, an earlier run's bytes included; ``detail`` as "part 3/22"."""

    def end(self) -> None:
        """It is whole, or given up."""


class _Quiet:
    def note(self, text: str) -> None: ...

    def start(self, file: str, total_bytes: int | None) -> None: ...

    def at(self, done_bytes: int, detail: str = "") -> None: ...

    def end(self) -> None: ...


QUIET: Progress = _Quiet()


class TerminalProgress:
    """Notes and one bar with rate and time left, on stderr; a context manager."""

    def __init__(self) -> None:
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def start(self, file: str, total_bytes: int | None) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(compact=True),
            progress.TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
        )
        self._bar.add_task(file, total=total_bytes, detail="")
        self._bar.start()

    def at(self, done_bytes: int, detail: str = "") -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done_bytes, detail=detail)

    def end(self) -> None:
        if self._bar is not None:
            if not self._bar.tasks[0].completed:
                self._bar.live.transient = True  # a bar that never moved says nothing
            self._bar.stop()
            self._bar = None
