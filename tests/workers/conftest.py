"""Workers with a real small model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stillhouse.workers.messages import Finished, ModelSettings, Piece
from stillhouse.workers.process import Conversation, Worker


@pytest.fixture(scope="session")
def settings(smollm2_path: Path) -> ModelSettings:
    return ModelSettings(str(smollm2_path), context_tokens=1024, users=4, threads=1)


@asynccontextmanager
async def running(settings: ModelSettings, *, max_queue: int = 64) -> AsyncIterator[Worker]:
    """A worker that is ready, and closed in the end."""
    worker = Worker(settings, max_queue=max_queue)
    worker.start()
    try:
        await worker.ready()
        yield worker
    finally:
        await worker.close()


async def texts(conversation: Conversation) -> list[str]:
    """The answers, by sample, as the pieces say; checked against the replies."""
    said = [""] * conversation.num_samples
    async for item in conversation:
        if isinstance(item, Piece) and item.delta.kind == "answer":
            said[item.sample] += item.delta.text
        elif isinstance(item, Finished):
            assert item.reply.answer == said[item.sample]
    return said


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))
