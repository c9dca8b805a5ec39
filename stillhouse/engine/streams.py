"""A request's events, on their way from the engine's thread to whoever reads them.

What is not read waits in the stream: at most one event for each token that was asked for. A stream
that is left (it is a context manager) or dropped before its end cancels its request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Self

from stillhouse.engine.request import TokenEvent
from stillhouse.errors import StillhouseError

Item = TokenEvent | StillhouseError
"""What a stream gives, or raises; an error is the last."""


@dataclass(slots=True, eq=False)
class Inbox:
    """Where the engine's thread leaves the items of one request."""

    queue: SimpleQueue[Item] | asyncio.Queue[Item]
    event_loop: asyncio.AbstractEventLoop | None  # in which an asyncio queue is read
    request_id: int | None = None  # None until the engine has taken the request


def deliver(items: Iterable[tuple[Inbox, Item]]) -> list[Inbox]:
    """Puts items into inboxes, waking each event loop once. Returns those whose loop is closed."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Inbox, Item]]] = {}
    for inbox, item in items:
        if inbox.event_loop is None:
            inbox.queue.put_nowait(item)
        else:
            by_loop.setdefault(inbox.event_loop, []).append((inbox, item))
    gone: list[Inbox] = []
    for event_loop, some in by_loop.items():
        try:
            event_loop.call_soon_threadsafe(_put_all, some)
        except RuntimeError:  # the event loop is closed: nobody can read any more
            gone += [inbox for inbox, _ in some]
    return gone


def _put_all(items: Iterable[tuple[Inbox, Item]]) -> None:
    for inbox, item in items:
        inbox.queue.put_nowait(item)


Order = Callable[[Inbox], None]
"""What a stream has the engine do with its request."""


class _Stream:
    def __init__(self, inbox: Inbox, cancel: Order, close_thought: Order) -> None:
        self.inbox = inbox
        self._cancel = cancel
        self._close_thought = close_thought
        self._is_over = False

    def cancel(self) -> None:
        """Has the engine end the request before its next step; the last event then says so."""
        if not self._is_over:
            self._cancel(self.inbox)

    def close_thought(self) -> None:
        """Has the engine close the thought that the request is in, if any, before its next step."""
        if not self._is_over:
            self._close_thought(self.inbox)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:  # late where a traceback still holds it: leave a stream that matters
        self.cancel()

    def _take(self, item: Item) -> TokenEvent:
        self._is_over = not isinstance(item, TokenEvent) or item.finish_reason is not None
        if isinstance(item, TokenEvent):
            return item
        raise item


class EventStream(_Stream, Iterator[TokenEvent]):
    """For a thread, which waits. Raises EngineStopped if the engine ends before the request."""

    def __init__(self, cancel: Order, close_thought: Order) -> None:
        self._queue: SimpleQueue[Item] = SimpleQueue()
        super().__init__(Inbox(self._queue, None), cancel, close_thought)

    def __next__(self) -> TokenEvent:
        if self._is_over:
            raise StopIteration
        return self._take(self._queue.get())


class AsyncEventStream(_Stream, AsyncIterator[TokenEvent]):
    """For tasks of the event loop that runs when it is made. Raises as the other does."""

    def __init__(self, cancel: Order, close_thought: Order) -> None:
        self._queue: asyncio.Queue[Item] = asyncio.Queue()
        super().__init__(Inbox(self._queue, asyncio.get_running_loop()), cancel, close_thought)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenEvent:
        if self._is_over:
            raise StopAsyncIteration
        return self._take(await self._queue.get())
