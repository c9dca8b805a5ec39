"""A worker process as the process that serves sees it: asked, watched, and started again."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from stillhouse.errors import EngineStopped, Overloaded, StillhouseError, WorkerDied
from stillhouse.facts import ModelFacts
from stillhouse.questions import Chat, ChatOptions, Prompt
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import (
    Accepted,
    Ask,
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

_MOST_FAILED_STARTS = 3  # in a row, after which nobody tries again
_FINISHES = 32  # the latest ones, from which the rate of finishing is told
_KILL_AFTER_S = 10.0


class Worker:
    """Runs one model in a process of its own, and again if that process dies."""

    def __init__(
        self,
        settings: ModelSettings,
        *,
        max_queue: int,
        on_finished: Callable[[Conversation, Finished], None] = lambda _c, _f: None,
    ) -> None:
        """`max_queue` asks at most may wait for their first token. For use in one event loop."""
        self.settings = settings
        self.restarts = 0
        self.facts: ModelFacts | None = None
        self.progress: Loading | None = None
        self._max_queue = max_queue
        self._on_finished = on_finished
        self._loop = asyncio.get_running_loop()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._conversations: dict[int, Conversation] = {}
        self._by_name: dict[str, Conversation] = {}
        self._next_id = 0
        self._finishes: deque[float] = deque(maxlen=_FINISHES)
        self._stats_wanted: deque[asyncio.Future[Stats]] = deque()
        self._ready = asyncio.Event()  # loaded, or given up
        self._failed_starts = 0
        self._error: StillhouseError | None = None
        self._is_closing = False
        self._restart: asyncio.TimerHandle | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it would answer now."""
        return self._ready.is_set() and self._error is None

    @property
    def error(self) -> StillhouseError | None:
        """Why it has given up."""
        return self._error

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def num_open(self) -> int:
        """Conversations that have not ended."""
        return len(self._conversations)

    @property
    def num_waiting(self) -> int:
        """Those of them that have not had a token yet."""
        return sum(not c.has_begun for c in self._conversations.values())

    def start(self) -> None:
        """Begins to load; `ready` waits for it."""
        self._launch()

    async def ready(self) -> ModelFacts:
        """Waits until the model is loaded. Raises why it cannot be."""
        while True:
            await self._ready.wait()
            if self._error is not None:
                raise self._error
            if self._ready.is_set() and self.facts is not None:
                return self.facts

    async def ask(
        self, chat: Chat | Prompt, options: ChatOptions, num_samples: int = 1
    ) -> Conversation:
        """Asks, once the model is there. Raises Overloaded if too many wait, and as `ready`."""
        self._refuse_if_full()
        await self.ready()
        self._refuse_if_full()
        ask = Ask(self._next_id, chat, options, num_samples)
        self._next_id += 1
        conversation = Conversation(ask, self._send)
        self._conversations[ask.id] = conversation
        self._by_name[conversation.id] = conversation
        self._send(ask)
        return conversation

    def find(self, name: str) -> Conversation | None:
        """The open conversation of this id."""
        return self._by_name.get(name)

    async def stats(self) -> Stats:
        """Where the worker stands. Raises WorkerDied if it ends before it can say."""
        await self.ready()
        future: asyncio.Future[Stats] = self._loop.create_future()
        self._stats_wanted.append(future)
        self._send(TellStats())
        return await future

    async def close(self) -> None:
        """Ends the process, and whatever is open in it."""
        self._is_closing = True
        if self._restart is not None:
            self._restart.cancel()
        self._send(Shutdown())
        process = self._process
        if process is not None:
            await asyncio.to_thread(process.join, _KILL_AFTER_S)
            if process.is_alive():
                process.kill()
                await asyncio.to_thread(process.join)
        self._fail_all(EngineStopped("the model was closed"))

    def _refuse_if_full(self) -> None:
        waiting = self.num_waiting
        if waiting < self._max_queue:
            return
        raise Overloaded(
            f"{waiting} requests wait for this model already, and {self._max_queue} may",
            retry_after_s=self._retry_after_s(waiting),
            hint="try again later, or raise the limit of the queue",
        )

    def _retry_after_s(self, num_waiting: int) -> int:
        """How long those that wait will take at the rate of the latest finishes; 1 to 600."""
        if len(self._finishes) < 2:
            return 10
        span_s = max(time.monotonic() - self._finishes[0], 1e-3)
        return max(1, min(600, round(num_waiting * span_s / len(self._finishes))))

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_run, args=(theirs, self.settings), name="still-worker", daemon=True
        )
        process.start()
        theirs.close()  # so that our end sees the end of theirs
        self._process, self._connection = process, ours
        threading.Thread(
            target=self._read, args=(ours, process), name="still-news", daemon=True
        ).start()

    def _read(self, connection: Connection, process: BaseProcess) -> None:
        """In a thread: passes news on until the process ends."""
        with suppress(RuntimeError):  # the event loop is closed: nobody is interested any more
            while True:
                try:
                    news: list[News] = connection.recv()
                except (EOFError, OSError):
                    break
                self._loop.call_soon_threadsafe(self._hear, news)
            process.join()
            connection.close()
            self._loop.call_soon_threadsafe(self._has_ended, process)

    def _hear(self, news: list[News]) -> None:
        for item in news:
            match item:
                case Piece() | Accepted():
                    if item.id in self._conversations:
                        self._conversations[item.id].put(item)
                case Finished():
                    self._finish(item)
                case Refused(number, error):
                    self._forget(number).fail(error)
                case Loading():
                    self.progress = item
                case Loaded(facts):
                    self.facts = facts
                    self._failed_starts = 0
                    self._ready.set()
                case LoadFailed(error):
                    self._give_up(error)
                case Stats():
                    self._stats_wanted.popleft().set_result(item)

    def _finish(self, item: Finished) -> None:
        conversation = self._conversations.get(item.id)
        if conversation is None:
            return
        conversation.put(item)
        self._finishes.append(time.monotonic())
        if conversation.is_over:
            self._forget(item.id)
        self._on_finished(conversation, item)

    def _forget(self, number: int) -> Conversation:
        conversation = self._conversations.pop(number)
        del self._by_name[conversation.id]
        return conversation

    def _has_ended(self, process: BaseProcess) -> None:
        """The process is gone: tells everybody, and starts another one."""
        was_loaded = self._ready.is_set()
        self._connection = None
        if self._is_closing or self._error is not None:
            return
        self._ready.clear()
        self.facts = None
        died = WorkerDied(
            f"the process of {self.settings.reference} ended in the middle of the work"
            f" ({_how(process.exitcode)})",
            hint="it is being started again; ask once more",
        )
        self._fail_all(died)
        self.restarts += 1
        self._failed_starts = 0 if was_loaded else self._failed_starts + 1
        if self._failed_starts == _MOST_FAILED_STARTS:
            self._give_up(
                WorkerDied(
                    f"the process of {self.settings.reference} ended {_MOST_FAILED_STARTS} times in"
                    f" a row while it was loading ({_how(process.exitcode)})",
                    hint="perhaps for lack of memory: try a shorter context or a smaller model",
                )
            )
            return
        self._restart = self._loop.call_later(self._failed_starts, self._launch)

    def _give_up(self, error: StillhouseError) -> None:
        self._error = error
        self._ready.set()

    def _fail_all(self, error: StillhouseError) -> None:
        for number in [*self._conversations]:
            self._forget(number).fail(error)
        while self._stats_wanted:
            self._stats_wanted.popleft().set_exception(error)

    def _send(self, order: Order) -> None:
        if self._connection is not None:
            with suppress(OSError):  # it has just ended, which the reader sees too
                self._connection.send([order])


def _run(connection: Connection, settings: ModelSettings) -> None:
    """The child's entry; what computes is imported there and not here."""
    from stillhouse.workers.host import run_host

    run_host(connection, settings)


def _how(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    more = ", perhaps by the system for lack of memory" if name == "SIGKILL" else ""
    return f"killed by {name}{more}"
