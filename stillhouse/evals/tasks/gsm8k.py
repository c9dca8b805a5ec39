"""GSM8K: word problems of primary school, thought through step by step in a chat."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import WrongFields, row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.wording import BOXED, BOXED_SOURCE

REPO = "openai/gsm8k"
REVISION = "740312add88f781978c0658806c59bc2815b9866"
TEST = HubData(REPO, "main/test-00000-of-00001.parquet", REVISION)
TRAIN = HubData(REPO, "main/train-00000-of-00001.parquet", REVISION)


def final_number(row: Row, answer: str) -> str:
    """What follows `####` in a worked answer, without the commas between thousands."""
    _, mark, number = answer.rpartition("####")
    if not mark or not number.strip():
        raise WrongFields(row, f"'answer' has no number after ####: {answer[-40:]!r}")
    return number.strip().replace(",", "")


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [_problem(row, number) for number, row in enumerate(rows)]


def _problem(row: Row, number: int) -> Problem:
    question, answer = texts(row, "question", "answer")
    gold = final_number(row, answer)
    return Problem(row_id(row, number), BOXED.format(problem=question), gold)


GSM8K = Task(
    name="gsm8k",
    version=1,
    title="GSM8K",
    source=BOXED_SOURCE,
    asking="chat",
    prompt=BOXED,
    problems=_problems,
    grader="number",
    data=TEST,
    max_tokens=8192,  # its problems take some hundred tokens, a long thought a few thousand
    samples=4,
)
