"""Responses that notice when their client has gone, streamed or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from stillhouse.workers.conversation import Conversation, Item

T = TypeVar("T")

PING_S = 15.0
SIGN_OF_LIFE = b": still here\n\n"  # a comment, which readers of events skip


class ClientGone(Exception):
    """Nobody waits for this response any more."""


class StreamedResponse(Response):
    """Sends what a generator gives, and closes the generator as soon as the client has gone."""

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        opened: AsyncExitStack,
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        """`opened` is what the parts come from; it is closed with the response."""
        super().__init__(None, 200, {"Cache-Control": "no-cache", **headers}, media_type)
        del self.headers["content-length"]
        self._parts = parts
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with self._opened:
            with suppress(ClientGone):
                await or_gone(self._send_all(send), receive)

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._parts.aclose()


async def or_gone(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """The result of the work, which is cancelled if the client leaves before. Raises ClientGone."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def batch_or_silence(conversation: Conversation) -> list[Item] | None:
    """What has come; empty at the end; None after so long a silence that a sign of life is due."""
    try:
        async with asyncio.timeout(PING_S):  # wait_for would start a task each time
            return await conversation.batch()
    except TimeoutError:
        return None
