"""How a run was asked: read from its folder, and compared with how it is asked now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.errors import UsageError

SETTINGS = "run.json"
"""In the folder of each model's run."""

ANOTHER = "give another --folder, or the same settings as before"
"""The hint for what can't go on in a folder."""

_GROWS = ("questions", "samples")  # settings of a task of which the largest is kept
_MAY_DIFFER = ("tasks", "url")  # tasks are compared by themselves; a server may have moved
# What a label is made of: see `SystemFacts.name`.
_OF_LABEL = ("url", "engine", "model", "quantization", "thinking_budget")


def read_settings(path: Path) -> dict[str, Any]:
    """Of a run. Raises UsageError for what is no run's."""
    try:
        settings = json.loads(path.read_bytes().decode())
        if not isinstance(settings, dict) or not isinstance(settings.get("tasks"), dict):
            raise ValueError("it has no tasks")
        if not all(map(_is_task, settings["tasks"].values())):
            raise ValueError("its tasks have no settings")
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no run of 'still eval': {error}") from None
    return settings


def _is_task(settings: object) -> bool:
    kinds = {"version": int, "prompt": str, "questions": int, "samples": int, "options": dict}
    return isinstance(settings, dict) and all(
        isinstance(settings.get(name), kind) for name, kind in kinds.items()
    )


def grown(before: Mapping[str, Any], settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with the tasks of `before`, and of a task the most questions and samples.

    Raises UsageError, which names what differs, if it was asked otherwise before. `before` is empty
    where nothing was.
    """
    tasks = dict(before.get("tasks", {}))
    for name, task in settings.get("tasks", {}).items():
        old = tasks.get(name)
        if old is not None:
            _compare(_without(old, _GROWS), _without(task, _GROWS), f"{name}: ", folder)
        tasks[name] = task if old is None else _larger(name, old, task, folder)
    if before:
        _compare(_without(before, _MAY_DIFFER), _without(settings, _MAY_DIFFER), "", folder)
    return {**settings, "tasks": tasks}


def _larger(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], folder: Path
) -> Mapping[str, Any]:
    """Of two runs of a task the one that holds the other, which is a part of it."""
    for one, other in ((old, new), (new, old)):
        if all(one[what] >= other[what] for what in _GROWS):
            return one
    sizes = [" × ".join(f"{one[what]} {what}" for what in _GROWS) for one in (old, new)]
    raise UsageError(
        f"{name}: {folder} is a run of {sizes[0]}, and {sizes[1]} are neither more nor a part",
        hint=f"give at least --limit {max(old['questions'], new['questions'])} --samples"
        f" {max(old['samples'], new['samples'])}, or another --folder",
    )


def check_label(
    label: str, settings: Mapping[str, Any], others: Iterable[Mapping[str, Any]], folder: Path
) -> None:
    """Servers of one model are told apart by the order in which they are named: raises UsageError
    where one would go on with the samples of another."""
    for other in others:
        is_same = all(other.get(name) == settings.get(name) for name in _OF_LABEL)
        if is_same and other.get("label") != label:
            raise UsageError(
                f"{settings['url']} would go on as '{label}', and is '{other.get('label')}' in"
                f" {folder}",
                hint="name the servers in the order of before, or give another --folder",
            )


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], where: str, folder: Path) -> None:
    for name in dict.fromkeys([*new, *old]):
        was, is_now = old.get(name), new.get(name)
        if isinstance(was, dict) and isinstance(is_now, dict):
            _compare(was, is_now, where, folder)
        elif was != is_now:
            texts = [json.dumps(one, ensure_ascii=False)[:200] for one in (was, is_now)]
            raise UsageError(
                f"{where}{name} was {texts[0]} in {folder}, and is {texts[1]} now", hint=ANOTHER
            )
