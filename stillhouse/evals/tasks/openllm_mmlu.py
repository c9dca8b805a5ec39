"""MMLU as the Open LLM Leaderboard v1 has it: the subject's five examples, then a letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stillhouse.errors import UsageError
from stillhouse.evals.fields import row_id
from stillhouse.evals.task import Problem, Row, Task
from stillhouse.evals.tasks.few_shot import LM_EVAL, shown
from stillhouse.evals.tasks.mmlu import DEV, TEST, read
from stillhouse.evals.tasks.wording import LETTERS

NAME, SHOTS = "openllm_mmlu", 5
QUESTION = "{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:"
_OPENING = "The following are multiple choice questions (with answers) about {subject}.\n\n"


def _problems(rows: Sequence[Row], shots: Sequence[Row], _seed: int) -> list[Problem]:
    examples: dict[str, list[tuple[str, str]]] = {}
    for row in shots:
        question, right, subject = _turn(row)
        examples.setdefault(subject, []).append((question, LETTERS[right]))
    return [_problem(row, number, examples) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, examples: Mapping[str, Sequence[tuple[str, str]]]) -> Problem:
    """The examples are the first of the subject: lm-eval's sampler for MMLU draws nothing."""
    question, right, subject = _turn(row)
    known = examples.get(subject, ())
    if len(known) < SHOTS:
        raise UsageError(
            f"{NAME} shows {SHOTS} examples of a question's subject, and there are {len(known)} of"
            f" {subject!r}",
            hint="--shots-data FILE, with the data set's dev split",
        )
    opening = _OPENING.format(subject=subject.replace("_", " "))
    return Problem(
        row_id(row, number),
        opening + shown(known[:SHOTS]) + question,
        str(right),
        choices=tuple(f" {letter}" for letter in LETTERS),
        group=subject,
    )


def _turn(row: Row) -> tuple[str, int, str]:
    """The question as it is asked, the index of the right letter, the subject."""
    question, (a, b, c, d), right, subject = read(row)
    return QUESTION.format(question=question.strip(), a=a, b=b, c=c, d=d), right, subject


OPENLLM_MMLU = Task(
    name=NAME,
    version=1,
    title="MMLU, 5 shots (Open LLM Leaderboard v1)",
    source=f"{LM_EVAL}/mmlu/default, acc",
    asking="choices",
    prompt=QUESTION,
    problems=_problems,
    data=TEST,
    shots_data=DEV,
    num_shots=SHOTS,
    chance=0.25,
)
