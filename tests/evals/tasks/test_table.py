"""Tasks are found by their names, and all of them say what they are."""

from __future__ import annotations

import string

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.tasks import task_named, task_names, tasks_named

NAMES = [name for name in task_names() if name not in ("openllm", "gym:<name>")]


@pytest.mark.parametrize("name", NAMES)
def test_a_task_says_what_it_asks_and_whose_words_those_are(name: str) -> None:
    task = task_named(name)
    assert task.name == name
    assert "github.com/" in task.source
    assert (task.asking == "choices") == (task.grader is None)
    assert task.data is not None
    assert (task.num_shots > 0) == (task.shots_data is not None)
    assert any(field for _, field, _, _ in string.Formatter().parse(task.prompt))


def test_the_leaderboard_is_six_tasks_with_its_own_numbers_of_examples() -> None:
    assert {task.name: task.num_shots for task in tasks_named("openllm")} == {
        "openllm_arc": 25,
        "openllm_hellaswag": 10,
        "openllm_truthfulqa": 0,
        "openllm_mmlu": 5,
        "openllm_winogrande": 5,
        "openllm_gsm8k": 5,
    }
    assert tasks_named("gsm8k") == (task_named("gsm8k"),)


def test_an_unknown_name_is_refused_with_its_likes() -> None:
    with pytest.raises(UsageError, match="no task is called 'AIME2024'") as hit:
        task_named("AIME2024")
    assert hit.value.hint == "did you mean aime24 or aime25?"
    with pytest.raises(UsageError, match="no task is called 'zzz'") as hit:
        task_named("zzz")
    assert "gym:<name>" in str(hit.value.hint)


def test_a_group_is_no_task() -> None:
    with pytest.raises(UsageError, match="openllm is a group of tasks") as hit:
        task_named("openllm")
    assert "openllm_arc" in str(hit.value.hint)
