"""AIME: thirty problems a year, whose answers are whole numbers from 0 to 999."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import WrongFields, row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.wording import BOXED, BOXED_SOURCE


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [_problem(row, number) for number, row in enumerate(rows)]


def _problem(row: Row, number: int) -> Problem:
    problem, answer = texts(row, "problem|question", "answer")
    if not answer.strip().isdecimal():
        raise WrongFields(row, f"'answer' is {answer!r:.40}, and AIME's are whole numbers")
    # "025" is how a competitor marks 25.
    return Problem(row_id(row, number), BOXED.format(problem=problem), str(int(answer)))


def _year(name: str, year: int, data: HubData) -> Task:
    return Task(
        name=name,
        version=1,
        title=f"AIME {year}",
        source=BOXED_SOURCE,
        asking="chat",
        prompt=BOXED,
        problems=_problems,
        grader="mathematics",
        data=data,
        chance=0.001,
        samples=20,  # DeepSeek asks 64 times; 20 cost a third, for an error 1.8 times as large
    )


AIME24 = _year(
    "aime24",
    2024,
    HubData(
        "HuggingFaceH4/aime_2024",
        "data/train-00000-of-00001.parquet",
        "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
    ),
)
AIME25 = _year(
    "aime25",
    2025,
    HubData("math-ai/aime25", "test.jsonl", "563bb8404243c5f09de6ec262f2db674fe5bce9b"),
)
