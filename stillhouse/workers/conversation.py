"""One ask and what comes back of it, as the process that serves sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Self
from uuid import uuid4

from stillhouse.errors import StillhouseError
from stillhouse.workers.messages import Accepted, AnswerNow, Ask, Cancel, Finished, Order, Piece

Item = Accepted | Piece | Finished


class Conversation:
    """Gives Accepted first, then pieces, and Finished for every sample; then it is over.

    An async iterator and an async context manager, which cancels what is still open when it is
    left. What nobody reads waits here, at most max_tokens a sample.
    """

    def __init__(self, ask: Ask, send: Callable[[Order], None]) -> None:
        """`send` takes orders to the worker, as long as there is one."""
        self.id = f"chatcmpl-{uuid4().hex}"
        self.created_at = time.time()
        self.num_samples = ask.num_samples
        self.has_begun = False  # a token has come, or the end
        self._ask_id = ask.id
        self._send = send
        self._items: list[Item] = []
        self._error: StillhouseError | None = None
        self._num_open = ask.num_samples
        self._was_cancelled = False
        self._news = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Nothing more will come from the worker."""
        return self._num_open == 0 or self._error is not None

    def put(self, item: Item) -> None:
        """Something has come for it."""
        self._items.append(item)
        if not isinstance(item, Accepted):
            self.has_begun = True
        if isinstance(item, Finished):
            self._num_open -= 1
        self._news.set()

    def fail(self, error: StillhouseError) -> None:
        """It ends with an error, once what came before has been read."""
        self._error = error
        self._news.set()

    async def batch(self) -> list[Item]:
        """All that has come and was not read, at least one item; empty once it is over.

        Raises what the worker refused it with, or WorkerDied.
        """
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._num_open == 0:
                return []
            self._news.clear()
            await self._news.wait()
        items, self._items = self._items, []
        return items

    async def accepted(self) -> Accepted:
        """The first item of all; to be asked for before anything else is read."""
        items = await self.batch()
        assert items
        assert isinstance(items[0], Accepted)
        self._items = items[1:] + self._items
        return items[0]

    async def __aiter__(self) -> AsyncIterator[Item]:
        while items := await self.batch():
            for item in items:
                yield item

    def cancel(self) -> None:
        """Nobody waits any more: the worker stops, and says how far it came."""
        if not (self.is_over or self._was_cancelled):
            self._was_cancelled = True
            self._send(Cancel(self._ask_id))

    def answer_now(self) -> None:
        """Closes the thoughts of all samples that are in one."""
        if not self.is_over:
            self._send(AnswerNow(self._ask_id))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()
