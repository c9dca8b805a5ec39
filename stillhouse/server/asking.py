"""From a request to a conversation with a model, for every route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from stillhouse.questions import Chat, ChatOptions, Prompt
from stillhouse.server.openai_fields import keep_alive_s
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Accepted
from stillhouse.workers.pool import KeepAlive, ModelPool


@asynccontextmanager
async def asked(
    request: Request,
    model: str | None,
    chat: Chat | Prompt,
    options: ChatOptions,
    num_samples: int,
    keep_alive: float | str | None,
) -> AsyncIterator[tuple[str, Conversation, Accepted]]:
    """The served name, and a conversation that has been accepted; it is cancelled on leaving.

    Raises what `ModelPool.use` and `Worker.ask` raise, and what the model refuses the chat with.
    """
    pool: ModelPool = request.app.state.pool
    kept: KeepAlive = "as before" if keep_alive is None else keep_alive_s(keep_alive)
    async with (
        pool.use(model, kept) as worker,
        await worker.ask(chat, options, num_samples) as conversation,
    ):
        accepted = await conversation.accepted()
        yield pool.resolve(model), conversation, accepted
