"""A whole evaluation: every system, with every thinking budget, at every task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, Protocol

from stillhouse.errors import UsageError
from stillhouse.evals.asking import Assignment, TaskSettings, Wishes, need_tokens, settings_for
from stillhouse.evals.result import EvalResult
from stillhouse.evals.run_summary import RunSummary
from stillhouse.evals.runner import Graders, Limits, TaskRunner
from stillhouse.evals.runner import Listener as TaskListener
from stillhouse.evals.store import RunFolder
from stillhouse.evals.summary import TaskSummary
from stillhouse.evals.systems import InProcess, LoadSettings, Served, System, opened, reach
from stillhouse.evals.task import Task

Target = InProcess | Served


class Part(NamedTuple):
    """Of all tasks of all systems and budgets the how-manieth this is, from 1."""

    number: int
    of: int


class Listener(TaskListener, Protocol):
    """Told what happens while it does."""

    def task_begins(
        self, label: str, task: Task, part: Part, *, total: int, done: int, right: float
    ) -> None:
        """`total` samples, of which `done` were there before; the sum of their scores."""
        ...

    def task_ended(self, label: str, summary: TaskSummary) -> None: ...


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is asked of every system, in this order. `budgets`: None leaves thoughts alone."""

    assignments: tuple[Assignment, ...]
    wishes: Wishes
    budgets: tuple[int | None, ...]
    loading: LoadSettings


@dataclass(slots=True)
class Results:
    """What a run has by now; filled while it goes on, so that it is there when the run is stopped.

    `samples` are a page's: with their label, and their problem's prompt and gold.
    """

    results: list[EvalResult] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)  # of which label
    is_stopped: bool = False
    is_incomplete: bool = False


async def run(
    targets: Sequence[Target],
    plan: RunPlan,
    folder: RunFolder,
    graders: Graders,
    listener: Listener,
    stop: asyncio.Event,
    *,
    results: Results,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Asks what the folder lacks and fills `results`. `stop` ends it, as `TaskRunner` says.

    Raises what a system does when it fails; what was kept by then is asked by nobody again.
    """
    for one in plan.assignments:
        folder.compare(one.task.name, one.problems)
    for target in targets:
        await reach(target)
    taken = set[str]()
    parts = len(targets) * len(plan.budgets) * len(plan.assignments)
    numbers = (Part(number, parts) for number in count(1))
    for target in targets:
        need = need_tokens(plan.assignments, plan.wishes)
        async with opened(target, need, plan.loading, progress) as system:
            for budget in plan.budgets:
                label = _label(system, budget, taken)
                taken.add(label)
                entry = _Entry(system, budget, label, plan, folder)
                for one in plan.assignments:
                    folder.ask(one.task.name, one.problems)
                for text in entry.notes:
                    listener.note(text)
                await entry.run(graders, listener, stop, results, numbers)
                if stop.is_set():
                    results.is_stopped = True
                    return


class _Entry:
    """One system with one thinking budget."""

    def __init__(
        self, system: System, budget: int | None, label: str, plan: RunPlan, folder: RunFolder
    ) -> None:
        self._system = system
        self._budget = budget
        self._plan = plan
        self._summary = RunSummary(label, plan.wishes.seed)
        before = folder.options(label)
        self._settings = [
            settings_for(one, system, plan.wishes, budget, before.get(one.task.name))
            for one in plan.assignments
        ]
        self._store = folder.run(label, self._as_json())

    @property
    def notes(self) -> list[str]:
        """What a user has to know of how it is asked."""
        return [
            f"{self._summary.label}, {one.task.name}: answers end where the context of"
            f" {settings.context_tokens:,} tokens does, not after {one.task.max_tokens:,}"
            for one, settings in zip(self._plan.assignments, self._settings, strict=True)
            if one.task.asking != "choices" and "max_tokens" not in settings.options
        ]

    async def run(
        self,
        graders: Graders,
        listener: Listener,
        stop: asyncio.Event,
        results: Results,
        numbers: Iterator[Part],
    ) -> None:
        """Asks every task, and adds what they tell: when one fails, what there is by then."""
        is_whole = False
        try:
            for assignment, settings in zip(self._plan.assignments, self._settings, strict=True):
                if stop.is_set():
                    break
                await self._run_task(assignment, settings, graders, listener, stop, next(numbers))
            is_whole = not stop.is_set()
        finally:
            if self._summary.tasks or is_whole:
                results.results.append(self._result())
            results.samples += self._summary.samples
            results.warnings += [(self._summary.label, text) for text in self._summary.warnings]
            results.is_incomplete |= self._summary.is_incomplete

    def _result(self) -> EvalResult:
        facts, summary = self._system.facts, self._summary
        return EvalResult(
            label=summary.label,
            model=facts.model,
            tasks=summary.tasks,
            quantization=facts.quantization,
            engine=facts.engine,
            url=facts.url,
            file_bytes=facts.file_bytes,
            bits_per_weight=facts.bits_per_weight,
            thinking_budget=self._budget,
            duration_s=summary.duration_s,
            output_tokens_per_s=summary.output_tokens_per_s,
        )

    async def _run_task(
        self,
        assignment: Assignment,
        settings: TaskSettings,
        graders: Graders,
        listener: Listener,
        stop: asyncio.Event,
        part: Part,
    ) -> None:
        wishes, task = self._plan.wishes, assignment.task
        with self._store.open(task.name) as store:
            kept = store.of(assignment.problems, settings.samples)
            listener.task_begins(
                self._summary.label,
                task,
                part,
                total=len(assignment.problems) * settings.samples,
                done=len(kept),
                right=sum(one.score for one in kept),
            )
            left = (
                None if wishes.token_budget is None else wishes.token_budget - self._summary.tokens
            )
            runner = TaskRunner(
                assignment,
                settings,
                wishes.seed,
                self._system.talker,
                graders,
                store,
                Limits(self._plan.loading.concurrency, left),
                listener,
                stop,
            )
            try:
                await runner.run()
            finally:
                asked = settings.as_json(assignment)
                for warning in self._summary.read(task, assignment.problems, store, asked):
                    listener.warn(warning)
        if task.name in self._summary.tasks:
            listener.task_ended(self._summary.label, self._summary.tasks[task.name])

    def _as_json(self) -> dict[str, Any]:
        """What a resumed run must agree in."""
        document = {
            "label": self._summary.label,
            **self._system.facts.as_json(),
            "thinking_budget": self._budget,
            "seed": self._plan.wishes.seed,
        }
        if self._system.facts.url is None:
            document["kv_type"] = self._plan.loading.kv_type
        tasks = {
            assignment.task.name: settings.as_json(assignment)
            for assignment, settings in zip(self._plan.assignments, self._settings, strict=True)
        }
        return {**document, "tasks": tasks}


def _label(system: System, budget: int | None, taken: set[str]) -> str:
    suffix = "" if budget is None else f", {budget:,} tokens of thought"
    name = system.facts.name
    if name + suffix in taken and system.facts.url is not None:
        name = f"{name} at {system.facts.url}"
    if name + suffix in taken:
        raise UsageError(
            f"'{name}{suffix}' would be evaluated twice",
            hint="name each model, server and budget once",
        )
    return name + suffix
