"""Winogrande as the Open LLM Leaderboard v1 has it: after which name the sentence goes on better.

Each choice stands in the text before; what follows is the same, and alone is weighed.
"""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import WrongFields, row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.few_shot import LM_EVAL, drawn, shown

NAME, SHOTS = "openllm_winogrande", 5
_REPO, _REVISION = "allenai/winogrande", "01e74176c63542e6b0bcb004dcdea22d94fb67b5"


def _problems(rows: Sequence[Row], shots: Sequence[Row], _seed: int) -> list[Problem]:
    examples = drawn(NAME, shots, SHOTS, len(rows))
    return [_problem(row, number, examples[number]) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, examples: Sequence[Row]) -> Problem:
    before = shown([(starts[i], rest) for starts, rest, i in map(_read, examples)])
    starts, rest, right = _read(row)
    return Problem(
        row_id(row, number),
        before + str(row["sentence"]),  # for readers; what is asked is in `contexts`
        str(right),
        choices=(f" {rest}",) * 2,
        contexts=tuple(before + start for start in starts),
    )


def _read(row: Row) -> tuple[tuple[str, str], str, int]:
    """The sentence up to either option, what follows, and which option is right, 0 or 1."""
    sentence, first, second, answer = texts(row, "sentence", "option1", "option2", "answer")
    start, blank, rest = sentence.partition("_")
    if not blank:
        raise WrongFields(row, f"'sentence' has no _ to fill: {sentence!r:.60}")
    if answer not in ("1", "2"):
        raise WrongFields(row, f"'answer' is {answer!r:.20}, and has to be 1 or 2")
    return (start + first, start + second), rest.strip(), int(answer) - 1


OPENLLM_WINOGRANDE = Task(
    name=NAME,
    version=1,
    title="Winogrande, 5 shots (Open LLM Leaderboard v1)",
    source=f"{LM_EVAL}/winogrande, acc; 5 shots by tasks/benchmarks/openllm.yaml",
    asking="choices",
    prompt="{sentence}",
    problems=_problems,
    data=HubData(_REPO, "winogrande_xl/validation-00000-of-00001.parquet", _REVISION),
    shots_data=HubData(_REPO, "winogrande_xl/train-00000-of-00001.parquet", _REVISION),
    num_shots=SHOTS,
    chance=0.5,
)
