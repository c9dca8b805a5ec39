"""MMLU: 57 subjects, four choices, thought through step by step in a chat."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import WrongFields, pick, position, row_id, text_list
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.wording import LETTERED, LETTERED_SOURCE, LETTERS, lettered

_REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
TEST = HubData("cais/mmlu", "all/test-00000-of-00001.parquet", _REVISION)
DEV = HubData("cais/mmlu", "all/dev-00000-of-00001.parquet", _REVISION)


def read(row: Row) -> tuple[str, tuple[str, ...], int, str]:
    """Question, four choices, the index of the right one, subject."""
    question, given, answer, subject = pick(row, "question", "choices", "answer", "subject|type")
    choices = text_list(row, "choices", given)
    if len(choices) != 4:
        raise WrongFields(row, f"'choices' holds {len(choices)}, and MMLU's questions have 4")
    return str(question), choices, position(row, "answer", answer, choices), str(subject)


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [_problem(row, number) for number, row in enumerate(rows)]


def _problem(row: Row, number: int) -> Problem:
    question, choices, right, subject = read(row)
    prompt = lettered(question.strip(), choices)
    return Problem(
        row_id(row, number),
        prompt,
        LETTERS[right],
        group=subject,
        extra={"choices": choices},  # an answer may give the text and no letter
    )


MMLU = Task(
    name="mmlu",
    version=1,
    title="MMLU, in a chat",
    source=LETTERED_SOURCE,
    asking="chat",
    prompt=LETTERED,
    problems=_problems,
    grader="letter",
    data=TEST,
    chance=0.25,
)
