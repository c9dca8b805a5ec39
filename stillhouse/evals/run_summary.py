"""What the samples in a store tell: task by task, and of a whole run with what it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stillhouse.evals.early_warnings import EarlyWarning
from stillhouse.evals.sample import Sample
from stillhouse.evals.store import TaskStore
from stillhouse.evals.summary import TaskSummary, summarise
from stillhouse.evals.task import Problem, Task


@dataclass(slots=True)
class RunSummary:
    """One model's run, task after task. `samples` are a page's: with the run's label, and with
    their problem's prompt and gold."""

    label: str
    seed: int | None
    tasks: dict[str, TaskSummary] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    duration_s: float | None = 0.0  # None where a store holds more than is told of
    tokens: int = 0  # in the stores: thoughts and answers
    is_incomplete: bool = False
    _writing_s: float = 0.0

    @property
    def output_tokens_per_s(self) -> float | None:
        """Of the tasks that wrote any; None where none did."""
        return self.tokens / self._writing_s if self.tokens and self._writing_s else None

    def read(
        self,
        task: Task,
        problems: Sequence[Problem],
        store: TaskStore,
        settings: Mapping[str, Any],
    ) -> list[str]:
        """Adds a task: the first `settings["samples"]` of each of the problems, if a question has
        all of them. Gives the warnings that nobody could have given while it ran.
        """
        wanted, options = settings["samples"], settings["options"]
        kept = store.of(problems, wanted)
        whole, missing = _whole(task, problems, kept, wanted)
        is_all = len(kept) == len(store.samples)
        if whole:
            of_whole = {problem.id for problem in whole}
            self.tasks[task.name] = summarise(
                task,
                whole,
                [sample for sample in kept if sample.problem in of_whole],
                duration_s=store.duration_s if is_all and missing is None else None,
                num_samples=wanted,
                is_greedy=options.get("temperature", 0.0) == 0,
                options={"seed": self.seed, **options} if options.get("temperature") else options,
            )
        if not is_all or self.duration_s is None:
            self.duration_s = None
        else:
            self.duration_s += store.duration_s
        if store.num_tokens:
            self.tokens += store.num_tokens
            self._writing_s += store.duration_s
        self.is_incomplete |= missing is not None
        self.samples += _page_samples(self.label, problems, kept)
        late = [one for one in (missing, _too_long(task, kept, options)) if one is not None]
        self.warnings += [*EarlyWarning(task, kept).standing(), *late]
        return late


def _whole(
    task: Task, problems: Sequence[Problem], kept: Sequence[Sample], wanted: int
) -> tuple[list[Problem], str | None]:
    """The problems that have all of their samples, and what is missing of the others."""
    numbers: dict[str, set[int]] = {problem.id: set() for problem in problems}
    for sample in kept:
        numbers[sample.problem].add(sample.number)
    whole = [problem for problem in problems if len(numbers[problem.id]) == wanted]
    if len(whole) == len(problems):
        return whole, None
    there, all_wanted = sum(map(len, numbers.values())), len(problems) * wanted
    count = (
        f"only the {len(whole):,} of {len(problems):,} questions that have all of theirs count"
        if whole
        else f"none of {len(problems):,} questions has all of its own"
    )
    return whole, (
        f"{task.name} is incomplete: {there:,} of {all_wanted:,} samples are there; {count}"
    )


def _too_long(task: Task, kept: Sequence[Sample], options: Mapping[str, Any]) -> str | None:
    """A server may not know of budgets, and then a curve against them is none. Where it does not
    count a thought's tokens they are the client's estimate, which may be somewhat too large."""
    budget = options.get("thinking_budget")
    if budget is None:
        return None
    over = sum(one.reasoning_tokens > 1.1 * budget + 16 for one in kept)
    if not over:
        return None
    return (
        f"{task.name}: {over:,} of {len(kept):,} thoughts are longer than the budget of"
        f" {budget:,} tokens, which the server does not keep"
    )


def _page_samples(
    label: str, problems: Sequence[Problem], kept: Sequence[Sample]
) -> Iterator[dict[str, Any]]:
    """In the order of the problems, each with what a reader has to know of its problem."""
    order = {problem.id: place for place, problem in enumerate(problems)}
    for sample in sorted(kept, key=lambda one: (order[one.problem], one.number)):
        problem = problems[order[sample.problem]]
        asked = {"label": label, "prompt": problem.prompt, "gold": problem.gold}
        yield {**asked, **sample.as_json()}
