"""Samples and summaries for tests, from letters: one a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stillhouse.evals.result import EvalResult
from stillhouse.evals.sample import Sample, Verdict
from stillhouse.evals.summary import TaskSummary, summarise
from stillhouse.evals.task import Problem, Task

TASK = Task(
    name="sums",
    version=3,
    title="Sums",
    source="made up for tests",
    asking="chat",
    prompt="{question}\nSay a number.",
    problems=lambda *_: [],
    grader="number",
)
CHOICES = replace(TASK, name="picks", asking="choices", grader=None, metric="mc2", chance=0.25)

_VERDICTS: Mapping[str, Verdict] = {
    "r": "right",
    "w": "wrong",
    "n": "no_answer",
    "t": "truncated",
    "l": "looped",
}


def problems(number: int, *, group: str = "") -> list[Problem]:
    return [Problem(f"{group}q{n}", f"What is {n}?", str(n), group=group) for n in range(number)]


def sample(problem: str, number: int, letter: str, *, task: str = "sums", **changes: Any) -> Sample:
    """`r`ight, `w`rong, `n`o answer, `t`runcated or `l`ooped; 10 + 2 tokens."""
    verdict = _VERDICTS[letter]
    made = Sample(
        task=task,
        problem=problem,
        number=number,
        seed=number,
        verdict=verdict,
        score=float(letter == "r"),
        extracted={"r": "7", "w": "8"}.get(letter),
        note=None,
        reasoning="",
        answer="",
        finish_reason="stop",
        thinking_end="natural",
        prompt_tokens=5,
        reasoning_tokens=10,
        answer_tokens=2,
    )
    return replace(made, **changes)


def samples(*rows: str, group: str = "") -> list[Sample]:
    """A word a problem, a letter a sample."""
    return [
        sample(f"{group}q{problem}", number, letter, group=group)
        for problem, row in enumerate(rows)
        for number, letter in enumerate(row)
    ]


def summary(*rows: str, task: Task = TASK, **options: Any) -> TaskSummary:
    made = [replace(one, task=task.name) for one in samples(*rows)]
    return summarise(task, problems(len(rows)), made, duration_s=60.0, **options)


def result(label: str, *rows: str, **facts: Any) -> EvalResult:
    return EvalResult(label, "tiny", {"sums": summary(*rows)}, **facts)
