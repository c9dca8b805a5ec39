"""GPQA-Diamond: science for those who study it, four choices in an order drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stillhouse.evals.fields import row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.wording import LETTERED, LETTERED_SOURCE, LETTERS, lettered

_CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def _problems(rows: Sequence[Row], _shots: Sequence[Row], seed: int) -> list[Problem]:
    return [_problem(row, number, seed) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, seed: int) -> Problem:
    """Its order is drawn for the row alone, so that it is the same in any part of the data.

    `extra` keeps it: for each letter which choice of the row it stands for, 0 the right one.
    """
    question, *given = texts(row, "Question", *_CHOICES)
    name = row_id(row, number)
    order = random.Random(f"{seed}/{name}").sample(range(4), 4)
    choices = tuple(given[i].strip() for i in order)
    return Problem(
        name,
        lettered(question.strip(), choices),
        LETTERS[order.index(0)],
        group=str(row.get("High-level domain") or ""),
        extra={"order": order, "choices": choices},
    )


GPQA_DIAMOND = Task(
    name="gpqa_diamond",
    version=1,
    title="GPQA-Diamond",
    source=f"{LETTERED_SOURCE}; gpqa_eval.py there permutes the choices; lighteval strips them",
    asking="chat",
    prompt=LETTERED,
    problems=_problems,
    grader="letter",
    data=HubData("Idavidrein/gpqa", "gpqa_diamond.csv"),  # gated; nothing to pin without a licence
    chance=0.25,
    samples=8,  # as open-r1 asks; DeepSeek 64 times
)
