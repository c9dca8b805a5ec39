"""What a person sees besides data: dim text, one moving line of progress, and Ctrl-C.

Everything here goes to stderr, so that stdout holds answers and documents alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, TextIO

DIM, PLAIN, _CLEAR_LINE = "\x1b[2m", "\x1b[0m", "\r\x1b[2K"

_PATIENCE_S, _REDRAW_S = 1.0, 0.1
_MOST_COUNTED = 1000  # a total beyond this is bytes, and shown as a percentage
_STAGES = {
    "weights": "laying out the weights for this processor",
    "kernels": "compiling kernels for this processor, once",
}


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
    """Shows how far a slow stage of loading is, on one line that is redrawn, and gone at the end.

    A stage is shown when it has taken a second: kernels from the cache and weights in memory are
    faster. Where stderr is no terminal a slow stage is said once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._began_at = self._drawn_at = 0.0
        self._is_shown = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        if stage != self._stage:
            self.clear()
            self._stage, self._began_at = stage, now
        if now - self._began_at < _PATIENCE_S or now - self._drawn_at < _REDRAW_S:
            return
        title = _STAGES.get(stage, stage)
        if sys.stderr.isatty():
            count = f"{done}/{total}" if total < _MOST_COUNTED else f"{done / total:.0%}"
            sys.stderr.write(_CLEAR_LINE + dim(f"{title}: {count}", sys.stderr))
            sys.stderr.flush()
        elif not self._is_shown:
            print(title, file=sys.stderr, flush=True)
        self._is_shown, self._drawn_at = True, now

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown and sys.stderr.isatty():
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
        self._is_shown = False


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


class LoadingBroken(Exception):
    """Somebody pressed Ctrl-C while a model was being loaded."""


class StopRunOnInterrupt(StopOnInterrupt):
    """The same in a coroutine, for a long run: the first Ctrl-C says `text` and sets `stop`, which
    the run heeds where it can.

    A model that is being loaded keeps the event loop from turning, so that nobody could heed it:
    what `breaking` returns raises LoadingBroken from the loading.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stop = asyncio.Event()
        self._text: str | None = text
        self._loop = asyncio.get_running_loop()

    def breaking(self, progress: Callable[[str, int, int], None]) -> Callable[..., None]:
        """`progress` of a loading, which this may break off."""

        def show(stage: str, done: int, total: int) -> None:
            if self.asked:
                self._heed()
                raise LoadingBroken
            progress(stage, done, total)

        return show

    def _ask(self, number: int, frame: FrameType | None) -> None:
        super()._ask(number, frame)
        # Not here: whatever this came upon may be holding the lock of the terminal.
        self._loop.call_soon_threadsafe(self._heed)

    def _heed(self) -> None:
        text, self._text = self._text, None
        if text is not None:
            note(text)
        self.stop.set()
