"""Work that may be given up because the run is stopped, and tried again where a server fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stillhouse.errors import RequestFailed

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_PAUSES_S = (1.0, 4.0, 16.0)  # before a request that failed is tried again
_MAY_PASS = ("connect", "timeout", "broken_stream", "http_5xx", "server")
_BUSY = (408, 429)  # "timeout", "too many requests"


class Patience:
    """For one run in one event loop. A context manager, as it waits for the stop by itself."""

    def __init__(
        self, stop: asyncio.Event, note: Callable[[str], None], sleep: Sleep = asyncio.sleep
    ) -> None:
        """`note` hears of each failure that is tried again."""
        self._stop = stop
        self._note = note
        self._sleep = sleep

    def __enter__(self) -> Patience:
        self._stopping = asyncio.ensure_future(self._stop.wait())
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.cancel()

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What it gives, or None: the run is to stop, and the work has been cancelled."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    async def until_it_works(self, attempt: Callable[[], Awaitable[T]]) -> T | None:
        """The same for what may fail and be tried again, three times, after 1, 4 and 16 s.

        Raises RequestFailed for what will not pass by itself, and after the last try.
        """
        for pause_s in _PAUSES_S:
            try:
                return await self.unless_stopped(attempt())
            except RequestFailed as error:
                if error.kind not in _MAY_PASS and error.status not in _BUSY:
                    raise
                self._note(f"{error.message}; trying again in {pause_s:g} s")
            await self.unless_stopped(self._sleep(pause_s))
            if self._stop.is_set():
                return None
        return await self.unless_stopped(attempt())
