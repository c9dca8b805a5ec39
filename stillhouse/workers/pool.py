"""Several models: loaded when somebody asks for one, unloaded when memory or time says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stillhouse import hub
from stillhouse.errors import EngineStopped, ModelNotFound, NotEnoughSpace, StillhouseError
from stillhouse.facts import ModelFacts
from stillhouse.hardware import this_machine
from stillhouse.units import format_bytes
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Finished, Loading, ModelSettings
from stillhouse.workers.process import Worker

_OVERHEAD_BYTES = 400_000_000  # of a process: interpreter, libraries, compiled kernels, buffers
_WEIGHTS_FACTOR = 1.1  # packed weights over the file
_SWEEP_S = 1.0

KeepAlive = float | None | Literal["as before"]
"""Seconds after the last use; None: as long as there is memory."""

State = Literal["loaded", "loading", "idle", "failed"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that can be asked for. What is None is not known before it is loaded."""

    name: str
    state: State
    facts: ModelFacts | None
    pid: int | None
    restarts: int
    expires_at: float | None  # by time.time(), when it will be unloaded if nobody asks
    progress: Loading | None
    error: StillhouseError | None


class _Slot:
    """One model, with or without a worker."""

    def __init__(self, settings: ModelSettings, keep_alive_s: float | None) -> None:
        self.settings = settings
        self.worker: Worker | None = None
        self.last_facts: ModelFacts | None = None  # also after it is unloaded
        self.restarts = 0  # of workers that are gone
        self.num_users = 0
        self.used_at = time.monotonic()
        self.keep_alive_s = keep_alive_s
        self.lock = asyncio.Lock()

    @property
    def idle_until(self) -> float | None:
        """By time.monotonic(); None: as long as there is memory."""
        if self.keep_alive_s is None:
            return None
        return self.used_at + self.keep_alive_s


class ModelPool:
    """The models that are served, by the names they were given on the command line."""

    def __init__(
        self,
        served: Sequence[ModelSettings],
        *,
        max_queue: int = 64,
        keep_alive_s: float | None = None,
        max_memory_bytes: int | None = None,
        on_finished: Callable[[str, Conversation, Finished], None] = lambda _n, _c, _f: None,
    ) -> None:
        """`keep_alive_s` after the last use a model is unloaded; None keeps it while memory lasts.

        `max_memory_bytes` is for all models together; None: what the machine has free.
        """
        self._max_queue = max_queue
        self._max_memory_bytes = max_memory_bytes
        self._on_finished = on_finished
        self._slots = {s.reference: _Slot(s, keep_alive_s) for s in served}
        self._loading = asyncio.Lock()  # one at a time, since each looks at the memory
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def is_ready(self) -> bool:
        """Whether some model would answer at once, or would be loaded for the first to ask."""
        if self._is_closing:
            return False
        states = [self._state(slot) for slot in self._slots.values()]
        return "loaded" in states or ("idle" in states and "loading" not in states)

    @property
    def num_open(self) -> int:
        return sum(slot.worker.num_open for slot in self._slots.values() if slot.worker)

    def known(self) -> list[KnownModel]:
        """All models that can be asked for, as they were given."""
        return [self._describe(name, slot) for name, slot in self._slots.items()]

    def workers(self) -> dict[str, Worker]:
        """Those that are loaded or loading."""
        return {name: slot.worker for name, slot in self._slots.items() if slot.worker}

    def restarts(self, name: str) -> int:
        """How often processes of this model have died and were started again."""
        slot = self._slots[name]
        return slot.restarts + (slot.worker.restarts if slot.worker else 0)

    def resolve(self, name: str | None) -> str:
        """The served name that a request means: itself, with or without ":latest", or the only one.

        Raises ModelNotFound, which lists what there is.
        """
        if not name:
            if len(self._slots) == 1:
                return next(iter(self._slots))
            raise ModelNotFound("no model is named", hint="served: " + ", ".join(self._slots))
        for candidate in (name, name.removesuffix(":latest"), f"{name}:latest"):
            if candidate in self._slots:
                return candidate
        raise ModelNotFound(
            f"the model '{name[:200]}' is not served here", hint="served: " + ", ".join(self._slots)
        )

    async def start(self) -> None:
        """Loads the first model, and watches over all. Raises why that one cannot be loaded."""
        self._sweeper = asyncio.create_task(self._sweep())
        first = next(iter(self._slots))
        async with self.use(first) as worker:
            await worker.ready()

    @asynccontextmanager
    async def use(
        self, name: str | None, keep_alive_s: float | Literal["as before"] | None = "as before"
    ) -> AsyncIterator[Worker]:
        """The worker of a model, begun to load if it is not there; it stays while it is used.

        Raises ModelNotFound, NotEnoughSpace, EngineStopped at the end of the server, and what
        loading raises.
        """
        if self._is_closing:
            raise EngineStopped("the server is shutting down")
        slot = self._slots[self.resolve(name)]
        slot.num_users += 1
        if keep_alive_s != "as before":
            slot.keep_alive_s = keep_alive_s
        try:
            yield await self._worker_of(slot)
        finally:
            slot.num_users -= 1
            slot.used_at = time.monotonic()

    def find_conversation(self, name: str) -> Conversation | None:
        """The open conversation of this id, whatever model answers it."""
        found = (worker.find(name) for worker in self.workers().values())
        return next((conversation for conversation in found if conversation), None)

    async def unload(self, name: str | None) -> None:
        """Ends a model's process when nobody uses it any more; its memory is free then."""
        slot = self._slots[self.resolve(name)]
        async with slot.lock:
            await self._unload(slot)

    async def close(self, grace_s: float) -> None:
        """Takes nothing new, lets what is open come to its end for so long, and ends everything."""
        self._is_closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        deadline = time.monotonic() + grace_s
        while self.num_open and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(worker.close() for worker in self.workers().values()))

    def _state(self, slot: _Slot) -> State:
        if slot.worker is None:
            return "idle"
        if slot.worker.error is not None:
            return "failed"
        return "loaded" if slot.worker.is_ready else "loading"

    def _describe(self, name: str, slot: _Slot) -> KnownModel:
        worker = slot.worker
        state = self._state(slot)
        expires_at = None
        if state == "loaded" and slot.idle_until is not None:
            expires_at = time.time() + max(0.0, slot.idle_until - time.monotonic())
        return KnownModel(
            name,
            state,
            (worker and worker.facts) or slot.last_facts,
            worker.pid if worker else None,
            self.restarts(name),
            expires_at,
            worker.progress if worker and state == "loading" else None,
            worker.error if worker else None,
        )

    async def _worker_of(self, slot: _Slot) -> Worker:
        async with slot.lock:
            if slot.worker is not None and slot.worker.error is not None:
                await self._unload(slot)  # what failed once is tried again for whoever asks
            if slot.worker is None:
                async with self._loading:
                    await self._make_room(slot)
                    slot.worker = self._launch(slot)
                    if len(self._slots) > 1:  # the next one has to see what this one takes
                        await slot.worker.ready()
            return slot.worker

    def _launch(self, slot: _Slot) -> Worker:
        name = slot.settings.reference

        def on_finished(conversation: Conversation, finished: Finished) -> None:
            self._on_finished(name, conversation, finished)

        worker = Worker(slot.settings, max_queue=self._max_queue, on_finished=on_finished)
        worker.start()
        return worker

    async def _unload(self, slot: _Slot) -> None:
        if slot.worker is not None:
            worker, slot.worker = slot.worker, None
            slot.last_facts = worker.facts or slot.last_facts
            slot.restarts += worker.restarts
            await worker.close()

    async def _make_room(self, slot: _Slot) -> None:
        """Unloads models that nobody uses, the longest unused first, until this one fits."""
        wanted = await asyncio.to_thread(_wanted_bytes, slot)
        while True:
            free = self._free_bytes()
            if free is None or wanted <= free:
                return
            others = [s for s in self._slots.values() if s.worker and s is not slot]
            idle = [s for s in others if s.num_users == 0]
            if not idle:
                if not others:
                    return  # loading itself tells best what does not fit
                raise NotEnoughSpace(
                    f"{slot.settings.reference} takes about {format_bytes(wanted)}, and beside the"
                    f" models in use {format_bytes(max(0, free))} are left",
                    hint="wait until they are idle, or serve fewer models",
                )
            await self._unload(min(idle, key=lambda s: s.used_at))

    def _free_bytes(self) -> int | None:
        if self._max_memory_bytes is None:
            return this_machine().available_memory_bytes
        workers = self.workers().values()
        return self._max_memory_bytes - sum(w.facts.memory_bytes for w in workers if w.facts)

    async def _sweep(self) -> None:
        """Unloads what has been idle for longer than it is kept."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for slot in self._slots.values():
                is_due = slot.idle_until is not None and slot.idle_until <= now
                if slot.worker and is_due and not slot.num_users and not slot.lock.locked():
                    async with slot.lock:
                        await self._unload(slot)


def _wanted_bytes(slot: _Slot) -> int:
    """What a model will take: as it did before, or by its file."""
    if slot.last_facts is not None:
        return slot.last_facts.memory_bytes
    path = hub.resolve(slot.settings.reference)
    files: list[Path] = [path]
    if path.is_dir() or path.name == "config.json":
        folder = path if path.is_dir() else path.parent
        files = [*folder.glob("*.safetensors")]
    return int(_WEIGHTS_FACTOR * sum(f.stat().st_size for f in files)) + _OVERHEAD_BYTES
