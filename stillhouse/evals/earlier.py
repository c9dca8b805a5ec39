"""Runs of other days, shown beside: all that they say is in their folder."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from stillhouse.errors import UsageError
from stillhouse.evals.result import EvalResult
from stillhouse.evals.runs import Results, page_samples, summary_of
from stillhouse.evals.store import RunStore, read_questions, runs_in
from stillhouse.evals.summary import TaskSummary
from stillhouse.evals.tasks import task_named

T = TypeVar("T")


def read_runs(folder: Path) -> Results:
    """Every run of a folder, from the most bits a weight to the fewest and from the smallest budget
    to none. Raises UsageError for one that holds none, or something else.
    """
    found = Results()
    for store in runs_in(folder):
        found.results.append(_result(folder, store, store.settings(), found))
    found.results.sort(key=_place)
    return found


def _place(result: EvalResult) -> tuple[float, float]:
    """Folders are sorted by name, where 128 comes before 32."""
    bits, budget = result.bits_per_weight, result.thinking_budget
    return -(bits or 0.0), math.inf if budget is None else budget


def _result(folder: Path, store: RunStore, settings: dict[str, Any], found: Results) -> EvalResult:
    def fact(name: str, kind: type[T]) -> T:
        value = settings.get(name)
        if not isinstance(value, kind):
            raise UsageError(
                f"{store.path} is no run of 'still eval': its {name} is {value!r:.100}"
            )
        return value

    def maybe(name: str, kind: type[T]) -> T | None:
        return None if settings.get(name) is None else fact(name, kind)

    label = fact("label", str)
    tasks: dict[str, TaskSummary] = {}
    duration_s, tokens = 0.0, 0
    for name, asked in settings["tasks"].items():
        # As it was asked then: with another version or prompt it is not comparable, and says so.
        task = replace(task_named(name), version=asked["version"], prompt=asked["prompt"])
        problems = read_questions(folder, name)[: asked["questions"]]
        is_greedy = asked["options"].get("temperature", 0.0) == 0
        with store.open(name, to_read=True) as samples:
            summary, warning = summary_of(
                task, problems, samples, asked["samples"], is_greedy=is_greedy
            )
            duration_s += samples.duration_s
            tokens += samples.num_tokens
            found.samples += page_samples(label, problems, samples.samples)
        if summary is not None:
            tasks[name] = summary
        if warning is not None:
            found.warnings.append(f"{label}: {warning}")
    return EvalResult(
        label=label,
        model=fact("model", str),
        tasks=tasks,
        quantization=maybe("quantization", str),
        engine=fact("engine", str),
        url=maybe("url", str),
        file_bytes=maybe("file_bytes", int),
        bits_per_weight=maybe("bits_per_weight", float),
        thinking_budget=maybe("thinking_budget", int),
        duration_s=duration_s,
        output_tokens_per_s=tokens / duration_s if tokens and duration_s else None,
    )
