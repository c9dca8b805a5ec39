"""What commands in which models read a text show while they do: one bar on stderr."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ReadingBar:
    """How far the reading is, and the time left; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("")
        self._doing = ""

    def __enter__(self) -> ReadingBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def writing(self, done: int, total: int) -> None:
        self._show("asking the model", done, total)

    def loading(self, stage: str, done: int, total: int) -> None:
        self._show({"weights": "laying out weights"}.get(stage, stage), done, total)

    def reading(self, done: int, total: int) -> None:
        self._show("reading the text", done, total)

    def comparing(self, done: int, total: int) -> None:
        self._show("comparing matrices", done, total)

    def _show(self, what: str, done: int, total: int) -> None:
        if what != self._doing:
            self._doing = what
            self._bar.reset(self._task, description=what, total=total)
        self._bar.update(self._task, completed=done, total=total)
