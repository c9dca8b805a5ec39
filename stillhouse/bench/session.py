"""Measures one system under every load: finds its prompts' lengths, warms it up, fills cells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from stillhouse.bench.asking import ask
from stillhouse.bench.load import Ask, Load, Observed, Outcome, offer
from stillhouse.bench.measure import Conditions, cell_of
from stillhouse.bench.memory import PeakMemory
from stillhouse.bench.prompts import FromFile, Synthetic, words_for
from stillhouse.bench.records import Cell
from stillhouse.bench.roofline import Speeds
from stillhouse.bench.slo import Slo
from stillhouse.bench.systems import System
from stillhouse.catalog import BenchLoad
from stillhouse.errors import UsageError
from stillhouse.hardware import this_machine
from stillhouse.questions import ChatOptions
from stillhouse.timings import Clock

_PROBE_WORDS = (16, 144)
_WARM_UP_WORDS, _WARM_UP_TOKENS = 32, 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What every cell of a run has in common. `options` are an `LLM.chat`'s, for every request."""

    slo: Slo
    prompts: Synthetic | FromFile
    options: ChatOptions
    is_fixed: bool = True  # every output has the workload's length; else that is the most
    warm_up_users: int = 1
    seed: int = 0


class Listener(Protocol):
    """Told what happens while it does."""

    def note(self, text: str) -> None: ...

    def cell_begins(self, system: System, workload: BenchLoad, load: Load) -> None: ...

    def piece(self) -> None: ...

    def request_ended(self, observed: Observed, /) -> None: ...

    def cell_ended(self, cell: Cell) -> None: ...


class Session:
    """One system under test. `stop` ends the cell that runs, and what it has is kept."""

    def __init__(
        self,
        system: System,
        settings: Settings,
        listener: Listener,
        stop: asyncio.Event,
        speeds: list[Speeds],
        clock: Clock = time.perf_counter,
    ) -> None:
        """`speeds` takes what this machine does, measured around every cell."""
        self.system = system
        self.settings = settings
        self._listener = listener
        self._stop = stop
        self._all_speeds = speeds
        self._clock = clock
        self._template: list[tuple[int, int]] | None = None  # (words, tokens), counted
        self._single: dict[tuple[str, int, int], float] = {}  # workload: tok/s of one user
        self._cells = 0

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    async def warm_up(self) -> None:
        """As many short requests at once as there will be users: kernels, buffers, connections.

        Raises UsageError for a server that refuses what will be asked of it, with its own words.
        """
        text = self.settings.prompts.text
        options: ChatOptions = {**self.settings.options, "max_tokens": _WARM_UP_TOKENS}
        if self.settings.is_fixed:
            options["ignore_eos"] = True

        async def one(number: int, started_s: float) -> Observed:
            return await self._ask(text(-1 - number, _WARM_UP_WORDS), options, number, started_s)

        users = self.settings.warm_up_users
        first = await self._offer(Load(1, users=1), one)
        rest = await self._offer(Load(users, users=users), one) if users > 1 else Outcome()
        for observed in (*first.observed, *rest.observed):
            if observed.record.error is not None:
                hint = "--natural does not ask for lengths" if self.settings.is_fixed else None
                raise UsageError(
                    f"{self.system.name} fails to answer: {observed.record.message}", hint=hint
                )

    async def measure(self, workload: BenchLoad, load: Load) -> Cell:
        """One cell. Its prompts are new to the system, unless they are people's own."""
        system, settings = self.system, self.settings
        words = await self._words(workload.prompt_tokens)
        options = self._options(workload)
        self._cells += 1
        first = self._cells << 32  # no number is asked twice

        async def one(number: int, started_s: float) -> Observed:
            text = settings.prompts.text(first + number, words)
            return await self._ask(text, {**options, "seed": number}, number, started_s)

        if isinstance(settings.prompts, FromFile):
            first = 0
        self._listener.cell_begins(system, workload, load)
        speeds = [self._speeds()]
        with ExitStack() as watching:
            memory = None if system.pid is None else watching.enter_context(PeakMemory(system.pid))
            outcome = await self._offer(load, one, self._listener.request_ended)
        speeds.append(self._speeds())
        key = (workload.name, workload.prompt_tokens, workload.output_tokens)
        known = [one for one in speeds if one is not None]
        self._all_speeds += known
        conditions = Conditions(
            workload.name,
            load,
            settings.slo,
            prompt_tokens=workload.prompt_tokens
            if isinstance(settings.prompts, Synthetic)
            else None,
            output_tokens=workload.output_tokens if settings.is_fixed else None,
            speeds=Speeds.of(known) if known else None,
            peak_memory_bytes=None if memory is None else memory.peak_bytes,
            single_tokens_per_s=self._single.get(key),
        )
        cell = cell_of(system.facts, conditions, outcome)
        if load.users == 1 and cell.output_tokens_per_s:
            self._single.setdefault(key, cell.output_tokens_per_s)
            cell = replace(cell, speedup=cell.output_tokens_per_s / self._single[key])
        self._listener.cell_ended(cell)
        return cell

    async def _offer(
        self, load: Load, one: Ask, on_end: Callable[[Observed], None] = lambda _: None
    ) -> Outcome:
        seed, stop = self.settings.seed, self._stop
        return await offer(load, one, clock=self._clock, seed=seed, stop=stop, on_end=on_end)

    async def _ask(
        self, text: str, options: ChatOptions, number: int, started_s: float
    ) -> Observed:
        return await ask(
            self.system.talker,
            text,
            options,
            number=number,
            started_s=started_s,
            clock=self._clock,
            on_piece=self._listener.piece,
        )

    def _options(self, workload: BenchLoad) -> ChatOptions:
        options: ChatOptions = {}
        if workload.thinking_tokens:
            options = {"think": True, "thinking_budget": workload.thinking_tokens}
        options |= {**self.settings.options, "max_tokens": workload.output_tokens}
        if self.settings.is_fixed:
            options["ignore_eos"] = True
        return options

    async def _words(self, prompt_tokens: int) -> int:
        """Of a synthetic prompt; people's own are as long as they are."""
        prompts = self.settings.prompts
        if isinstance(prompts, FromFile):
            return 0
        if self._template is None:
            self._template = []
            for words in _PROBE_WORDS:
                observed = await self._ask(
                    prompts.text(-1000 - words, words),
                    {**self.settings.options, "max_tokens": 1},
                    0,
                    0.0,
                )
                record = observed.record
                if record.error is not None:
                    raise UsageError(f"{self.system.name} fails to answer: {record.message}")
                self._template.append((words, record.prompt_tokens))
        return words_for(prompt_tokens, self._template)

    def _speeds(self) -> Speeds | None:
        """What this machine does now, if the system runs on it and its bytes are known."""
        if self.system.pid is None or self.system.facts.form is None:
            return None
        return Speeds.measure(this_machine().physical_cores)
