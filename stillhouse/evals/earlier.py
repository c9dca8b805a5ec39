"""Runs of other days, shown beside: all that they say is in their folder."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from stillhouse.errors import UsageError
from stillhouse.evals.result import EvalResult
from stillhouse.evals.run_summary import RunSummary
from stillhouse.evals.runs import Results
from stillhouse.evals.store import RunStore, read_questions, runs_in
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
    order = {result.label: place for place, result in enumerate(found.results)}
    found.samples.sort(key=lambda one: order.get(one["label"], len(order)))
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

    summary = RunSummary(fact("label", str), maybe("seed", int))
    for name, asked in settings["tasks"].items():
        # As it was asked then: with another version or prompt it is not comparable, and says so.
        task = replace(task_named(name), version=asked["version"], prompt=asked["prompt"])
        problems = read_questions(folder, name)[: asked["questions"]]
        with store.open(name, to_read=True) as samples:
            summary.read(task, problems, samples, asked)
    found.samples += summary.samples
    found.warnings += [(summary.label, text) for text in summary.warnings]
    return EvalResult(
        label=summary.label,
        model=fact("model", str),
        tasks=summary.tasks,
        quantization=maybe("quantization", str),
        engine=fact("engine", str),
        url=maybe("url", str),
        file_bytes=maybe("file_bytes", int),
        bits_per_weight=maybe("bits_per_weight", float),
        thinking_budget=maybe("thinking_budget", int),
        duration_s=summary.duration_s,
        output_tokens_per_s=summary.output_tokens_per_s,
    )
