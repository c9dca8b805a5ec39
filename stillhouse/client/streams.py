"""One request's stream: its pieces as they come, and last the whole reply."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import aiohttp

from stillhouse.client.events import EventReader
from stillhouse.client.failures import broken_off, broken_stream, told_in_stream
from stillhouse.client.replies import ServedReply, ServedReplyReader
from stillhouse.text import Delta
from stillhouse.timings import Clock

# After the last event, for the response's own end: only then its connection can be used again.
_END_S = 0.25


class ServedStream(AsyncIterator[Delta | ServedReply]):
    """A reply as it comes: its pieces, never empty, and last the whole `ServedReply`.

    Where a server leaves thoughts in its text and the tag that opens them out, they come as answer
    until they are closed; the reply has them right. A context manager that closes itself, however
    its reader leaves. All errors are RequestFailed.
    """

    __slots__ = (
        "__weakref__", "_clock", "_events", "_is_done", "_reader", "_ready", "_response",
        "_timeout_s", "_url",
    )  # fmt: skip

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        reader: ServedReplyReader,
        *,
        url: str,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        """`response` has begun with status 200; `url` and `timeout_s` are for errors."""
        self._response = response
        self._reader = reader
        self._url = url
        self._timeout_s = timeout_s
        self._clock = clock
        self._events = EventReader()
        self._ready: deque[Delta | ServedReply] = deque()
        self._is_done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta | ServedReply:
        while not self._ready:
            if self._is_done:
                raise StopAsyncIteration
            try:
                await self._receive()
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    async def batch(self) -> list[Delta | ServedReply]:
        """What has come, at least one; empty at the end. Cheaper than one by one."""
        try:
            first = await anext(self)
        except StopAsyncIteration:
            return []
        items = [first, *self._ready]
        self._ready.clear()
        return items

    async def drain(self) -> ServedReply:
        """The reply, without the pieces."""
        while items := await self.batch():
            if isinstance(items[-1], ServedReply):
                return items[-1]
        raise AssertionError("a stream ends with a reply")

    def cancel(self) -> None:
        """Hangs up; the rest is what was held back, and a reply of what was read so far."""
        if not self._is_done:
            self._finish(is_cancelled=True)

    def close(self) -> None:
        """Hangs up: nothing more comes."""
        if not self._is_done:
            self._is_done = True
            self._response.close()
        self._ready.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _receive(self) -> None:
        """The next bytes that the server sends. The clock is read once for all that is in them."""
        try:
            received = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if not self._reader.has_ended or isinstance(error, TimeoutError):
                raise broken_off(error, self._url, self._timeout_s) from error
            received = b""  # the reply was whole, only its usage may be lost
        now = self._clock()
        events = self._events.push(received) if received else self._events.finish()
        for data, is_error in events:
            self._take(data, is_error, now)
        if self._reader.is_whole:
            await self._reach_end()
            self._finish()
        elif not received:
            if not self._reader.has_ended:
                raise broken_stream(self._url, "ended without a finish_reason or [DONE]")
            self._finish()

    def _take(self, data: bytes, is_error: bool, now: float) -> None:
        if data == b"[DONE]":
            self._reader.is_whole = True
            return
        if is_error:
            raise told_in_stream(data, self._url)
        try:
            document = json.loads(data.decode())  # bytes would have their encoding guessed
            if not isinstance(document, dict):
                raise TypeError
            if document.get("error"):
                raise told_in_stream(document, self._url)
            self._ready += self._reader.read(document, now)
        except (ValueError, RecursionError) as error:
            raise broken_stream(self._url, f"holds no JSON: {data[:100]!r}") from error
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise broken_stream(self._url, f"holds no piece of a reply: {data[:100]!r}") from error

    async def _reach_end(self) -> None:
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            if not self._response.content.at_eof():
                async with asyncio.timeout(_END_S):
                    while await self._response.content.readany():
                        pass

    def _finish(self, *, is_cancelled: bool = False) -> None:
        self._ready += self._reader.finish("cancelled" if is_cancelled else None)
        self._is_done = True
        if is_cancelled:
            self._response.close()
        else:
            self._response.release()
