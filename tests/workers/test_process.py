"""A real model in a real process: asked, left, killed."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest

from stillhouse.errors import ContextTooLong, ModelNotFound, Overloaded, UsageError, WorkerDied
from stillhouse.questions import ChatOptions
from stillhouse.workers.messages import Accepted, Finished, ModelSettings
from stillhouse.workers.process import Worker
from tests.workers.conftest import run, running, texts


def test_a_worker_answers_streams_and_says_what_it_holds(settings: ModelSettings) -> None:
    async def work() -> None:
        async with running(settings) as worker:
            facts = await worker.ready()
            assert (facts.architecture, facts.context_tokens) == ("llama", 1024)
            assert facts.memory_bytes > facts.file_bytes
            conversation = await worker.ask("How many legs has a spider?", {"temperature": 0.0})
            accepted = await conversation.accepted()
            assert isinstance(accepted, Accepted)
            assert accepted.prompt_tokens > 5
            alone = await texts(conversation)
            assert "legs" in alone[0]
            several = [
                await worker.ask("How many legs has a spider?", {"temperature": 0.0, "seed": n}, 2)
                for n in range(4)
            ]
            assert await asyncio.gather(*map(texts, several)) == [alone * 2] * 4
            stats = await worker.stats()
            assert (stats.engine.held_blocks, worker.num_open) == (0, 0)
            with pytest.raises(ContextTooLong, match="1024"):
                await (await worker.ask("spider " * 2000, {})).accepted()
            with pytest.raises(UsageError, match="temperature"):
                await (await worker.ask("Hi", {"temperature": -1.0})).accepted()

    run(work())


def test_whoever_leaves_is_cancelled_wherever_the_request_is(settings: ModelSettings) -> None:
    async def work() -> None:
        endless = {"max_tokens": 900, "ignore_eos": True}
        async with running(settings) as worker:
            for num_read in range(4):
                async with await worker.ask("Tell me a story", endless) as conversation:  # type: ignore[arg-type]
                    for _ in range(num_read):
                        await conversation.batch()
                last = (await conversation.batch())[-1]
                while not isinstance(last, Finished):
                    last = (await conversation.batch())[-1]
                assert last.reply.finish_reason == "cancelled"
            assert (await worker.stats()).engine.held_blocks == 0
            assert worker.num_open == 0

    run(work())


def test_an_answer_now_reaches_the_model(settings: ModelSettings) -> None:
    async def work() -> None:
        async with running(settings) as worker:
            endless: ChatOptions = {"ignore_eos": True, "stop_loops": False, "max_tokens": 300}
            asked = await worker.ask("Tell me a story", {"think": True, **endless})
            await asked.accepted()
            await asked.batch()
            asked.answer_now()
            async for item in asked:
                if isinstance(item, Finished):
                    assert item.reply.thinking_end == "client"
                    assert item.reply.answer

    run(work())


def test_a_full_queue_says_when_to_come_back(settings: ModelSettings) -> None:
    async def work() -> None:
        async with running(settings, max_queue=3) as worker:
            asked = [await worker.ask(f"Story {n}", {"max_tokens": 5}) for n in range(3)]
            with pytest.raises(Overloaded, match="3 requests wait") as refused:
                await worker.ask("One more", {})
            assert 1 <= refused.value.retry_after_s <= 600
            await asyncio.gather(*map(texts, asked))
            assert len(await texts(await worker.ask("Now", {"max_tokens": 5}))) == 1

    run(work())


def test_a_killed_worker_fails_what_was_open_and_comes_back(settings: ModelSettings) -> None:
    async def work() -> None:
        async with running(settings) as worker:
            for restarts in (1, 2):
                asked = await worker.ask("Tell me a story", {"ignore_eos": True})
                await asked.accepted()
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGKILL)
                with pytest.raises(WorkerDied, match="SIGKILL"):
                    await texts(asked)
                again = await worker.ask("Hello", {"max_tokens": 4})
                assert len(await texts(again)) == 1
                assert worker.restarts == restarts
            pid = worker.pid
        assert pid is not None
        assert not psutil.pid_exists(pid)

    run(work())


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    async def work() -> None:
        worker = Worker(ModelSettings("./no-such-file.gguf"), max_queue=1)
        worker.start()
        with pytest.raises(ModelNotFound, match="no-such-file"):
            await worker.ready()
        assert not worker.is_ready
        await worker.close()

    run(work())
