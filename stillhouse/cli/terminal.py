"""What a person sees besides data: dim text, one moving line of progress, and Ctrl-C.

Everything here goes to stderr, so that stdout holds answers and documents alone.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Self, TextIO

DIM, PLAIN, _CLEAR_LINE = "\x1b[2m", "\x1b[0m", "\r\x1b[2K"


def has_colours(stream: TextIO) -> bool:
    """A terminal, unless the user has set NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def dim(text: str, stream: TextIO) -> str:
    """The text dimmed where the stream shows it, else as it is."""
    return f"{DIM}{text}{PLAIN}" if has_colours(stream) else text


def note(text: str) -> None:
    """One dim line on stderr."""
    print(dim(text, sys.stderr), file=sys.stderr, flush=True)


class StageLine:
    """Shows `stage: done/total` on one line that is redrawn, and gone at the end.

    Where stderr is no terminal each stage is said once, when it begins.
    """

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            count = f": {done}/{total}" if total > 1 else " …"
            sys.stderr.write(_CLEAR_LINE + dim(stage + count, sys.stderr))
            sys.stderr.flush()
        elif stage != self._stage:
            print(f"{stage} …", file=sys.stderr, flush=True)
        self._stage = stage

    def clear(self) -> None:
        """Take the line away."""
        if self._stage and sys.stderr.isatty():
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()


class StopOnInterrupt:
    """Inside it the first Ctrl-C only sets `asked`; a second one interrupts as ever.

    So an answer ends between two tokens, where the engine can cancel it, and not inside a kernel.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
