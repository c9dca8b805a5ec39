"""The tasks, one file each, and the table of their names."""

from __future__ import annotations

from difflib import get_close_matches

from stillhouse.errors import UsageError
from stillhouse.evals.task import Task
from stillhouse.evals.tasks.aime import AIME24, AIME25
from stillhouse.evals.tasks.gpqa_diamond import GPQA_DIAMOND
from stillhouse.evals.tasks.gsm8k import GSM8K
from stillhouse.evals.tasks.gym import PREFIX, gym_task
from stillhouse.evals.tasks.livecodebench import LIVECODEBENCH
from stillhouse.evals.tasks.math500 import MATH500
from stillhouse.evals.tasks.mmlu import MMLU
from stillhouse.evals.tasks.openllm_arc import OPENLLM_ARC
from stillhouse.evals.tasks.openllm_gsm8k import OPENLLM_GSM8K
from stillhouse.evals.tasks.openllm_hellaswag import OPENLLM_HELLASWAG
from stillhouse.evals.tasks.openllm_mmlu import OPENLLM_MMLU
from stillhouse.evals.tasks.openllm_truthfulqa import OPENLLM_TRUTHFULQA
from stillhouse.evals.tasks.openllm_winogrande import OPENLLM_WINOGRANDE

__all__ = ["task_named", "task_names", "tasks_named"]

_OPENLLM = (
    OPENLLM_ARC,
    OPENLLM_HELLASWAG,
    OPENLLM_TRUTHFULQA,
    OPENLLM_MMLU,
    OPENLLM_WINOGRANDE,
    OPENLLM_GSM8K,
)
_ALONE = (AIME24, AIME25, MATH500, GPQA_DIAMOND, GSM8K, MMLU, LIVECODEBENCH)
_TASKS = {task.name: task for task in (*_ALONE, *_OPENLLM)}
_GROUPS = {"openllm": _OPENLLM}


def task_names() -> list[str]:
    """All tasks, then the groups; `gym:<name>` stands for each of reasoning-gym's data sets."""
    return [*_TASKS, *_GROUPS, f"{PREFIX}<name>"]


def task_named(name: str) -> Task:
    """The task of that name. Raises UsageError for a group's name or one that nothing has."""
    if name in _GROUPS:
        members = ", ".join(task.name for task in _GROUPS[name])
        raise UsageError(f"{name} is a group of tasks", hint=f"one of {members}")
    if name.startswith(PREFIX):
        return gym_task(name)
    if name not in _TASKS:
        close = get_close_matches(name.lower(), [*_TASKS, *_GROUPS], n=3, cutoff=0.5)
        raise UsageError(
            f"no task is called {name!r}",
            hint=f"did you mean {' or '.join(close)}?"
            if close
            else f"there are {', '.join(task_names())}",
        )
    return _TASKS[name]


def tasks_named(name: str) -> tuple[Task, ...]:
    """A group's tasks, or the one of that name. Raises UsageError where there is neither."""
    return _GROUPS.get(name) or (task_named(name),)
