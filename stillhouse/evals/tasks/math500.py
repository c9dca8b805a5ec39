"""MATH-500: competition problems with answers in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.wording import BOXED, BOXED_SOURCE


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [_problem(row, number) for number, row in enumerate(rows)]


def _problem(row: Row, number: int) -> Problem:
    problem, answer = texts(row, "problem", "answer")
    level = row.get("level")
    return Problem(
        row_id(row, number),
        BOXED.format(problem=problem),
        answer,
        group="" if level is None else f"level {level}",
    )


MATH500 = Task(
    name="math500",
    version=1,
    title="MATH-500",
    source=BOXED_SOURCE,
    asking="chat",
    prompt=BOXED,
    problems=_problems,
    grader="mathematics",
    data=HubData(
        "HuggingFaceH4/MATH-500", "test.jsonl", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"
    ),
    samples=4,  # as open-r1 asks; DeepSeek 64 times
)
