"""A whole run: systems one after the other, each under every load, and what follows from it all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stillhouse.bench.load import Load
from stillhouse.bench.records import Cell
from stillhouse.bench.roofline import Speeds
from stillhouse.bench.session import Listener, Session, Settings
from stillhouse.bench.speedups import speedups
from stillhouse.bench.sweep import Sweep, SweepKind, find_knee
from stillhouse.bench.systems import LoadSettings, System, in_process, served
from stillhouse.catalog import BenchLoad

_LEAST_REQUESTS = 4
_CACHED_NOTE_SHARE = 0.1
_LEAST_PROMPT_TOKENS, _PROMPT_STEP_TOKENS = 256, 256


@dataclass(frozen=True, slots=True)
class InProcess:
    """A model to load here."""

    reference: str


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs. `served_reference`: what it serves, where that is on this machine too."""

    url: str
    model: str | None = None
    served_reference: str | None = None
    api_key: str | None = None
    timeout_s: float = 300.0


Target = InProcess | Served


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What every target is put under. `requests` None: two for each user, four at least."""

    workloads: tuple[BenchLoad, ...]
    users: tuple[int, ...]
    settings: Settings
    loading: LoadSettings
    rates_per_s: tuple[float, ...] = ()
    requests: int | None = None
    burstiness: float = 1.0
    sweep: SweepKind | None = None
    most_users: int = 64

    @property
    def loads(self) -> tuple[Load, ...]:
        """Closed loops first."""
        rate_requests = self.requests or max(_LEAST_REQUESTS, 2 * max(self.users, default=1))
        return (
            *(self._closed(users) for users in self.users),
            *(
                Load(rate_requests, rate_per_s=rate, burstiness=self.burstiness)
                for rate in self.rates_per_s
            ),
        )

    def _closed(self, users: int) -> Load:
        return Load(self.requests or max(_LEAST_REQUESTS, 2 * users), users=users)


@dataclass(slots=True)
class Results:
    """What there is so far; whole unless `is_stopped`."""

    cells: list[Cell] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    speeds: list[Speeds] = field(default_factory=list)
    is_stopped: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the document of `still bench` has them."""
        return {
            "results": [cell.as_json() for cell in self.cells],
            "sweeps": [sweep.as_json() for sweep in self.sweeps],
            "comparisons": [one.as_json() for one in speedups(self.cells)],
            "machine_speeds": asdict(Speeds.of(self.speeds)) if self.speeds else None,
            "notes": self.notes,
        }


async def run(
    targets: Sequence[Target],
    plan: RunPlan,
    listener: Listener,
    stop: asyncio.Event,
    *,
    results: Results,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Fills `results`, which is right at any time. Raises what loading or reaching a target does,
    and UsageError for one that refuses what it is asked.
    """
    try:
        for target in targets:
            async with _opened(target, plan, progress) as system:
                for note in system.notes:
                    _note(results, listener, f"{system.name}: {note}")
                session = Session(system, plan.settings, listener, stop, results.speeds)
                await session.warm_up()
                for workload in plan.workloads:
                    if not stop.is_set():
                        await _measure(session, workload, plan, results)
            if stop.is_set():
                break
    finally:  # also where a later target fails, or its loading is broken off
        results.is_stopped = stop.is_set()
        for cell in results.cells:
            for note in notes_of(cell):
                _note(results, listener, note)


def notes_of(cell: Cell) -> list[str]:
    """What a reader of the cell's figures should know, in sentences."""
    where = f"{cell.engine} {cell.model}, {cell.load}"
    notes = []
    if cell.errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in cell.error_kinds.items())
        examples = "; ".join(cell.error_examples)
        total = cell.errors + cell.requests
        notes.append(f"{where}: {cell.errors} of {total} requests failed ({kinds}): {examples}")
    if cell.short_outputs:
        notes.append(
            f"{where}: {cell.short_outputs} of {cell.requests} outputs ended before"
            f" {cell.output_tokens} tokens: the server does not keep to ignore_eos"
        )
    if cell.counted == "chunks" and cell.requests:
        notes.append(
            f"{where}: the server does not count thoughts, so pieces tell thought from answer"
        )
    if cell.cached_share is not None and cell.cached_share > _CACHED_NOTE_SHARE:
        notes.append(f"{where}: {cell.cached_share:.0%} of prompt tokens came from a cache")
    if (
        cell.mean_prompt_tokens is not None
        and cell.prompt_tokens is not None
        and abs(cell.mean_prompt_tokens / cell.prompt_tokens - 1) > 0.02
    ):
        notes.append(
            f"{where}: prompts have {cell.mean_prompt_tokens:.0f} tokens by the server's count,"
            f" not {cell.prompt_tokens}"
        )
    return notes


@asynccontextmanager
async def _opened(
    target: Target, plan: RunPlan, progress: Callable[[str, int, int], None] | None
) -> AsyncIterator[System]:
    if isinstance(target, InProcess):
        with in_process(target.reference, plan.loading, progress) as system:
            yield system
        return
    async with served(
        target.url,
        model=target.model,
        served_reference=target.served_reference,
        api_key=target.api_key,
        timeout_s=target.timeout_s,
    ) as system:
        yield system


async def _measure(session: Session, workload: BenchLoad, plan: RunPlan, results: Results) -> None:
    if plan.sweep is None:
        for load in plan.loads:
            results.cells.append(await session.measure(workload, load))
            if session.is_stopped:
                return
        return

    async def with_users(users: int) -> Cell:
        requests = plan.requests or max(_LEAST_REQUESTS, 2 * users)
        return await session.measure(workload, Load(requests, users=users))

    async def with_prompt(tokens: int) -> Cell:
        longer = replace(workload, prompt_tokens=tokens)
        return await session.measure(longer, Load(plan.requests or 2, users=1))

    context = session.system.context_tokens or plan.loading.context_tokens or 0
    most_tokens = max(_LEAST_PROMPT_TOKENS, context - workload.output_tokens)
    sweep, cells = await find_knee(
        plan.sweep,
        with_users if plan.sweep == "users" else with_prompt,
        model=session.system.name,
        workload=workload.name,
        promise=str(plan.settings.slo),
        least=1 if plan.sweep == "users" else min(_LEAST_PROMPT_TOKENS, most_tokens),
        most=plan.most_users if plan.sweep == "users" else most_tokens,
        step=1 if plan.sweep == "users" else _PROMPT_STEP_TOKENS,
        is_stopped=lambda: session.is_stopped,
    )
    results.cells += cells
    results.sweeps.append(sweep)


def _note(results: Results, listener: Listener, text: str) -> None:
    results.notes.append(text)
    listener.note(text)
