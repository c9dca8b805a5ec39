"""A bar on stderr for one thing at a time that a long run does, with lines above that stay."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stillhouse.cli.terminal import note
from stillhouse.units import format_seconds


class LiveBar:
    """A context manager. Where stderr is no terminal only the lines are written, without a bar."""

    def __init__(self, *fields: str) -> None:
        """`fields`: texts between the count and the time, in this order."""
        self._fields = fields
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *(TextColumn(f"{{task.fields[{field}]}}") for field in fields),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", visible=False, **self._texts({}))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """One line."""
        if self._bar.disable:
            note(text)
        else:
            self._bar.console.print(text, style="dim", highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """One line that is not dim."""
        if self._bar.disable:
            print(f"warning: {text}", file=sys.stderr, flush=True)
        else:
            self._bar.console.print(f"warning: {text}", highlight=False, markup=False)

    def begin(self, description: str, *, total: int, done: int = 0, **fields: str) -> None:
        """The bar starts anew; fields that are not given are empty."""
        texts = self._texts(fields)
        self._bar.reset(
            self._task,
            total=total,
            completed=done,
            description=description,
            visible=True,
            **texts,
        )

    def update(self, *, advance: int = 0, **fields: Any) -> None:
        """Moves the bar on, and changes the fields that are given."""
        self._bar.update(self._task, advance=advance, **fields)

    def hide(self) -> None:
        """Until the next `begin`."""
        self._bar.update(self._task, visible=False)

    def _texts(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Of each field: rich takes them as keyword arguments of any type."""
        return {**dict.fromkeys((*self._fields, "left"), ""), **given}


def time_left(spent_s: float, done: int, left: int) -> str:
    """If what is left takes as long as what is done, no finer than such a guess is worth; nothing
    before anything is done.
    """
    if not done:
        return ""
    left_s = max(1, round(spent_s / done * left))
    if left_s < 60:
        return f"about {left_s} s left"
    if left_s < 3600:
        return f"about {round(left_s / 60)} min left"
    return f"about {format_seconds(left_s)} left"
