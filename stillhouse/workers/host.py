"""The child: one loaded model, which answers what comes over the connection.

Its main thread runs an event loop with a task for every reply; another thread reads orders. What
happens in one turn of the loop goes out as one list.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import psutil

from stillhouse.errors import EngineStopped, StillhouseError
from stillhouse.llm import LLM, AsyncChatStream, Reply
from stillhouse.workers.event_loops import run_in_loop
from stillhouse.workers.messages import (
    Accepted,
    AnswerNow,
    Ask,
    Cancel,
    Finished,
    Loaded,
    LoadFailed,
    Loading,
    ModelSettings,
    News,
    Order,
    Piece,
    Refused,
    Shutdown,
    Stats,
    TellStats,
)


def run_host(connection: Connection, settings: ModelSettings) -> None:
    """What a worker process does, from its start to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent, which says when
    try:
        llm = LLM(
            settings.reference,
            context_tokens=settings.context_tokens,
            kv_type=settings.kv_type,
            threads=settings.threads,
            max_memory_bytes=settings.max_memory_bytes,
            users=settings.users,
            deterministic=settings.deterministic,
            admission="overcommit",
            progress=lambda stage, done, total: connection.send([Loading(stage, done, total)]),
        )
    except StillhouseError as error:
        connection.send([LoadFailed(error)])
        return
    except OSError:  # nobody reads any more
        return
    facts = replace(llm.facts, memory_bytes=_resident_bytes())
    connection.send([Loaded(facts)])
    run_in_loop(_serve(llm, connection))
    os._exit(0)  # the reader may still wait, and the memory goes with the process


async def _serve(llm: LLM, connection: Connection) -> None:
    await _Host(llm, connection).serve()


class _Host:
    """Answers orders until it is told to end."""

    def __init__(self, llm: LLM, connection: Connection) -> None:
        self._llm = llm
        self._connection = connection
        self._outbox: list[News] = []
        self._streams: dict[int, list[AsyncChatStream]] = {}
        self._rendering: set[int] = set()  # asks that have no streams yet,
        self._unwanted: set[int] = set()  # and those of them that were cancelled
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = asyncio.Event()

    async def serve(self) -> None:
        """Reads orders in a thread; returns at the end of the connection or at a Shutdown."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            while True:
                try:
                    orders: list[Order] = self._connection.recv()
                except (EOFError, OSError):
                    orders = [Shutdown()]
                loop.call_soon_threadsafe(self._obey, orders)
                if isinstance(orders[-1], Shutdown):
                    return

        threading.Thread(target=read, name="still-orders", daemon=True).start()
        await self._is_over.wait()
        await asyncio.to_thread(self._llm.close)
        self._flush()

    def _obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Ask():
                    self._rendering.add(order.id)
                    self._start(self._answer(order))
                case Cancel(number):
                    self._cancel(number)
                case AnswerNow(number):
                    for stream in self._streams.get(number, ()):
                        stream.answer_now()
                case TellStats():
                    self._start(self._tell_stats())
                case Shutdown():
                    self._is_over.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel(self, number: int) -> None:
        if number in self._rendering:
            self._unwanted.add(number)
        for stream in self._streams.get(number, ()):
            stream.stop()

    async def _answer(self, ask: Ask) -> None:
        try:
            streams = await self._llm.asamples(ask.chat, ask.num_samples, **ask.options)
        except StillhouseError as error:
            self._unwanted.discard(ask.id)
            self._put(Refused(ask.id, error))
            return
        finally:
            self._rendering.discard(ask.id)
        question = streams[0].question
        self._put(
            Accepted(
                ask.id,
                prompt_tokens=len(question.request.prompt_ids),
                in_thought=question.in_thought,
                thinking_budget=question.thinking_budget,
                max_tokens=question.request.sampling.max_tokens,
            )
        )
        self._streams[ask.id] = streams
        if ask.id in self._unwanted:
            self._unwanted.discard(ask.id)
            self._cancel(ask.id)
        try:
            replies = [self._pass_on(ask.id, n, stream) for n, stream in enumerate(streams)]
            await asyncio.gather(*replies)
        except StillhouseError as error:
            self._put(Refused(ask.id, error))
            if isinstance(error, EngineStopped):
                self._is_over.set()  # a broken engine answers nobody: a new process is started
        finally:
            del self._streams[ask.id]

    async def _pass_on(self, number: int, sample: int, stream: AsyncChatStream) -> None:
        async for item in stream:
            if isinstance(item, Reply):
                self._put(Finished(number, sample, item))
            else:
                self._put(Piece(number, sample, item))

    async def _tell_stats(self) -> None:
        with suppress(EngineStopped):
            engine = await asyncio.to_thread(self._llm.stats)
            self._put(Stats(engine, _resident_bytes()))

    def _put(self, news: News) -> None:
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(news)

    def _flush(self) -> None:
        news, self._outbox = self._outbox, []
        if news:
            with suppress(OSError):  # nobody reads any more: the reader of orders sees it too
                self._connection.send(news)


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
