"""A whole evaluation: every system, with every thinking budget, at every task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stillhouse.errors import UsageError
from stillhouse.evals.asking import Assignment, TaskSettings, Wishes, need_tokens, settings_for
from stillhouse.evals.result import EvalResult
from stillhouse.evals.runner import Graders, Limits, TaskRunner
from stillhouse.evals.runner import Listener as TaskListener
from stillhouse.evals.sample import Sample
from stillhouse.evals.store import RunFolder, TaskStore
from stillhouse.evals.summary import TaskSummary, summarise
from stillhouse.evals.systems import InProcess, LoadSettings, Served, System, opened, reach
from stillhouse.evals.task import Problem, Task

Target = InProcess | Served


class Listener(TaskListener, Protocol):
    """Told what happens while it does."""

    def task_begins(self, label: str, task: Task, *, total: int, done: int, right: float) -> None:
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
    warnings: list[str] = field(default_factory=list)
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
    for target in targets:
        need = need_tokens(plan.assignments, plan.wishes)
        async with opened(target, need, plan.loading, progress) as system:
            for budget in plan.budgets:
                label = _label(system, budget, {one.label for one in results.results})
                entry = _Entry(system, budget, label, plan, folder)
                for one in plan.assignments:
                    folder.ask(one.task.name, one.problems)
                for text in entry.notes:
                    listener.note(text)
                result = await entry.run(graders, listener, stop, results)
                if result.tasks or not stop.is_set():
                    results.results.append(result)
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
        self._label = label
        self._plan = plan
        self._settings = [
            settings_for(one, system, plan.wishes, budget) for one in plan.assignments
        ]
        self._store = folder.run(label, self._as_json())

    @property
    def notes(self) -> list[str]:
        """What a user has to know of how it is asked."""
        return [
            f"{self._label}, {one.task.name}: answers end where the context of"
            f" {settings.context_tokens:,} tokens does, not after {one.task.max_tokens:,}"
            for one, settings in zip(self._plan.assignments, self._settings, strict=True)
            if one.task.asking != "choices" and "max_tokens" not in settings.options
        ]

    async def run(
        self, graders: Graders, listener: Listener, stop: asyncio.Event, results: Results
    ) -> EvalResult:
        tasks: dict[str, TaskSummary] = {}
        duration_s, tokens = 0.0, 0
        for assignment, settings in zip(self._plan.assignments, self._settings, strict=True):
            if stop.is_set():
                break
            task = assignment.task
            with self._store.open(task.name) as store:
                await self._run_task(
                    assignment, settings, store, tokens, graders, listener, stop, results
                )
                summary, warning = summary_of(
                    task, assignment.problems, store, settings.samples, is_greedy=settings.is_greedy
                )
                if warning is not None:
                    results.is_incomplete = True
                    results.warnings.append(f"{self._label}: {warning}")
                    listener.warn(warning)
                duration_s += store.duration_s
                tokens += store.num_tokens
                results.samples += page_samples(self._label, assignment.problems, store.samples)
            if summary is not None:
                tasks[task.name] = summary
                listener.task_ended(self._label, summary)
        facts = self._system.facts
        return EvalResult(
            label=self._label,
            model=facts.model,
            tasks=tasks,
            quantization=facts.quantization,
            engine=facts.engine,
            url=facts.url,
            file_bytes=facts.file_bytes,
            bits_per_weight=facts.bits_per_weight,
            thinking_budget=self._budget,
            duration_s=duration_s,
            output_tokens_per_s=tokens / duration_s if tokens and duration_s else None,
        )

    async def _run_task(
        self,
        assignment: Assignment,
        settings: TaskSettings,
        store: TaskStore,
        tokens_before: int,
        graders: Graders,
        listener: Listener,
        stop: asyncio.Event,
        results: Results,
    ) -> None:
        wishes = self._plan.wishes
        kept = store.samples
        listener.task_begins(
            self._label,
            assignment.task,
            total=len(assignment.problems) * settings.samples,
            done=len(kept),
            right=sum(one.score for one in kept),
        )
        left = None if wishes.token_budget is None else wishes.token_budget - tokens_before
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
        await runner.run()
        results.warnings += [f"{self._label}, {warning}" for warning in runner.warnings]

    def _as_json(self) -> dict[str, Any]:
        """What a resumed run must agree in."""
        document = {
            "label": self._label,
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


def summary_of(
    task: Task, problems: Sequence[Problem], store: TaskStore, samples: int, *, is_greedy: bool
) -> tuple[TaskSummary | None, str | None]:
    """What the samples say, and a warning where some are missing: then only the questions count
    that have all of theirs. None where there is no such question.
    """
    numbers: dict[str, set[int]] = {problem.id: set() for problem in problems}
    for sample in store.samples:
        if sample.number < samples and sample.problem in numbers:
            numbers[sample.problem].add(sample.number)
    whole = [problem for problem in problems if len(numbers[problem.id]) == samples]
    warning = None
    if len(whole) < len(problems):
        there, wanted = sum(map(len, numbers.values())), len(problems) * samples
        warning = (
            f"{task.name} is incomplete: {there:,} of {wanted:,} samples are there; only the"
            f" {len(whole):,} of {len(problems):,} questions that have all of theirs count"
        )
    if not whole:
        return None, warning
    ids = {problem.id for problem in whole}
    summary = summarise(
        task,
        whole,
        [sample for sample in store.samples if sample.problem in ids],
        duration_s=store.duration_s if warning is None else None,
        num_samples=samples,
        is_greedy=is_greedy,
    )
    return summary, warning


def page_samples(
    label: str, problems: Sequence[Problem], samples: Sequence[Sample]
) -> Iterator[dict[str, Any]]:
    """In the order of the problems, each with what a reader has to know of its problem."""
    order = {problem.id: place for place, problem in enumerate(problems)}
    known = [sample for sample in samples if sample.problem in order]
    for sample in sorted(known, key=lambda one: (order[one.problem], one.number)):
        problem = problems[order[sample.problem]]
        asked = {"label": label, "prompt": problem.prompt, "gold": problem.gold}
        yield {**asked, **sample.as_json()}


def _label(system: System, budget: int | None, taken: set[str]) -> str:
    name = system.facts.name
    if name in taken and system.facts.url is not None:
        name = f"{name} at {system.facts.url}"
    if budget is not None:
        name = f"{name}, {budget:,} tokens of thought"
    if name in taken:
        raise UsageError(
            f"'{name}' would be evaluated twice", hint="name each model, server and budget once"
        )
    return name
