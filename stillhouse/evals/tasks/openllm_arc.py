"""ARC-Challenge as the Open LLM Leaderboard v1 has it: 25 examples, the likeliest a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stillhouse.evals.fields import WrongFields, pick, row_id, text_list
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.few_shot import LM_EVAL, drawn, shown

NAME, SHOTS = "openllm_arc", 25
QUESTION = "Question: {question}\nAnswer:"
_REPO, _REVISION = "allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453"


def _problems(rows: Sequence[Row], shots: Sequence[Row], _seed: int) -> list[Problem]:
    examples = drawn(NAME, shots, SHOTS, len(rows))
    return [_problem(row, number, examples[number]) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, examples: Sequence[Row]) -> Problem:
    before = shown([(question, answers[i]) for question, answers, i in map(_read, examples)])
    question, answers, right = _read(row)
    return Problem(
        row_id(row, number),
        before + question,
        str(right),
        choices=tuple(f" {answer}" for answer in answers),
    )


def _read(row: Row) -> tuple[str, tuple[str, ...], int]:
    """The question as it is asked, its answers (3 to 5), the index of the right one."""
    question, choices, key = pick(row, "question", "choices", "answerKey")
    if not isinstance(choices, Mapping):
        raise WrongFields(row, "'choices' has to hold the lists 'text' and 'label'")
    answers = text_list(row, "choices.text", choices.get("text"))
    labels = text_list(row, "choices.label", choices.get("label"))
    if key not in labels or len(labels) != len(answers):
        raise WrongFields(
            row, f"'answerKey' is {key!r}, of {len(answers)} answers labelled {', '.join(labels)}"
        )
    if "" in answers:
        raise WrongFields(row, "has an empty choice, which has no likelihood a character")
    return QUESTION.format(question=question), answers, labels.index(key)


OPENLLM_ARC = Task(
    name=NAME,
    version=1,
    title="ARC-Challenge, 25 shots (Open LLM Leaderboard v1)",
    source=f"{LM_EVAL}/arc/arc_challenge.yaml, acc_norm; 25 shots by tasks/benchmarks/openllm.yaml",
    asking="choices",
    prompt=QUESTION,
    problems=_problems,
    data=HubData(_REPO, "ARC-Challenge/test-00000-of-00001.parquet", _REVISION),
    shots_data=HubData(_REPO, "ARC-Challenge/train-00000-of-00001.parquet", _REVISION),
    num_shots=SHOTS,
    metric="normalised",
    chance=0.25,
)
