"""HellaSwag as the Open LLM Leaderboard v1 has it: how a scene goes on, after ten that did."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stillhouse.evals.fields import WrongFields, pick, position, text_list
from stillhouse.evals.task import HubData, Problem, Row, Task
from stillhouse.evals.tasks.few_shot import LM_EVAL, drawn, shown

NAME, SHOTS = "openllm_hellaswag", 10
QUESTION = "{activity_label}: {ctx_a} {ctx_b}"
_REPO, _REVISION = "Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76"


def _problems(rows: Sequence[Row], shots: Sequence[Row], _seed: int) -> list[Problem]:
    examples = drawn(NAME, shots, SHOTS, len(rows))
    return [_problem(row, number, examples[number]) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, examples: Sequence[Row]) -> Problem:
    """Its number names it: `ind` counts anew in each of the two sources."""
    before = shown([(scene, endings[i]) for scene, endings, i in map(_read, examples)])
    scene, endings, right = _read(row)
    return Problem(
        str(number),
        before + scene,
        str(right),
        choices=tuple(f" {ending}" for ending in endings),
    )


def _read(row: Row) -> tuple[str, tuple[str, ...], int]:
    """The scene, its four endings, the index of the right one."""
    activity, a, b, given, label = pick(row, "activity_label", "ctx_a", "ctx_b", "endings", "label")
    endings = tuple(_cleaned(ending) for ending in text_list(row, "endings", given))
    if "" in endings:
        raise WrongFields(row, "has an empty ending, which has no likelihood a character")
    right = position(row, "label", label, endings)
    scene = QUESTION.format(activity_label=activity, ctx_a=a, ctx_b=str(b).capitalize())
    return _cleaned(scene), endings, right


def _cleaned(text: str) -> str:
    """Without WikiHow's marks in brackets. A title's mark ends the sentence before it."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


OPENLLM_HELLASWAG = Task(
    name=NAME,
    version=1,
    title="HellaSwag, 10 shots (Open LLM Leaderboard v1)",
    source=f"{LM_EVAL}/hellaswag, acc_norm; 10 shots by tasks/benchmarks/openllm.yaml",
    asking="choices",
    prompt=QUESTION,
    problems=_problems,
    data=HubData(_REPO, "data/validation-00000-of-00001.parquet", _REVISION),
    shots_data=HubData(_REPO, "data/train-00000-of-00001.parquet", _REVISION),
    num_shots=SHOTS,
    metric="normalised",
    chance=0.25,
)
