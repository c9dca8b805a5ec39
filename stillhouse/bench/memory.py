"""The most memory that a process and its children have held while something ran."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

_EVERY_S = 0.1


class PeakMemory:
    """A context manager that looks ten times a second. `peak_bytes` is resident memory; a page that
    several processes of a tree share is counted for each of them.
    """

    def __init__(self, pid: int) -> None:
        """Raises psutil.NoSuchProcess where there is none."""
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        now_bytes = 0
        try:
            for process in (self._process, *self._process.children(recursive=True)):
                now_bytes += process.memory_info().rss
        except psutil.Error:
            return  # one of them has just ended: the next look sees those that are left
        self.peak_bytes = max(self.peak_bytes, now_bytes)
