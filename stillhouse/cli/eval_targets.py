"""What `still eval` is told, as tasks, budgets and targets, and the folder that they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.evals.asking import Assignment
from stillhouse.evals.data import load
from stillhouse.evals.runs import Target
from stillhouse.evals.store import file_name
from stillhouse.evals.systems import InProcess, Served, names_of
from stillhouse.evals.task import Task
from stillhouse.evals.tasks import tasks_named
from stillhouse.paths import home

_MOST_GROUPS = 5  # that a line names
_MOST_NAME = 60  # characters of a folder's name


def targets(
    models: Sequence[str],
    urls: Sequence[str],
    served: Sequence[str],
    *,
    context: int | None,
    name: str | None,
    api_key: str | None,
    timeout_s: float,
) -> list[Target]:
    """Models first. Raises UsageError for names of served models without servers, and for a model
    or server that is named twice."""
    if served and len(served) != len(urls):
        raise UsageError(
            f"{len(served)} models are said to be served, by {len(urls)} servers",
            hint="give --served once for each --url, in the same order",
        )
    for number, url in enumerate(urls):
        if url in urls[:number]:
            raise UsageError(f"--url {url} is given twice", hint="name each server once")
    behind: Sequence[str | None] = served or [None] * len(urls)
    return [
        *(
            InProcess(model, called, context)
            for model, called in zip(models, names_of(models), strict=True)
        ),
        *(
            Served(url, name, model, api_key, timeout_s)
            for url, model in zip(urls, behind, strict=True)
        ),
    ]


def tasks(names: Iterable[str]) -> list[Task]:
    """Of names and of lists with commas; a group stands for its tasks. Raises UsageError."""
    found: dict[str, Task] = {}
    for name in (part.strip() for text in names for part in text.split(",")):
        found |= {task.name: task for task in tasks_named(name)}
    return list(found.values())


def budgets(text: str | None) -> tuple[int | None, ...]:
    """`256,1024,none`; None where nothing is limited. Raises UsageError."""
    if text is None:
        return (None,)
    parts = [part.strip().lower() for part in text.split(",")]
    if not all(part == "none" or (part.isascii() and part.isdecimal()) for part in parts):
        parts = []
    found = [None if part == "none" else int(part) for part in parts]
    if not found or len(set(found)) < len(found):
        raise UsageError(
            f"'{text}' is no list for --thinking-budget",
            hint="write different numbers of tokens, or none: 256,1024,4096,none",
        )
    return tuple(found)


def assignments(
    chosen: Sequence[Task],
    *,
    data: Path | None,
    shots_data: Path | None,
    limit: int | None,
    seed: int,
    note: Callable[[str], None],
) -> tuple[Assignment, ...]:
    """The tasks with their problems. Raises UsageError for a file that two tasks would read."""
    for option, path, readers in (
        ("--data", data, [task for task in chosen if task.data is not None]),
        ("--shots-data", shots_data, [task for task in chosen if task.num_shots]),
    ):
        if path is not None and len(readers) != 1:
            raise UsageError(
                f"{option} is a file for one task, and {len(readers)} of those asked for read one",
                hint="ask for one task at a time, with one --folder for all",
            )
    made = []
    for task in chosen:
        problems = load(
            task,
            data=data if task.data is not None else None,
            shots_data=shots_data if task.num_shots else None,
            limit=limit,
            seed=seed,
            note=note,
        )
        groups = [*dict.fromkeys(one.group for one in problems if one.group)]
        if groups and limit is not None:
            shown = ", ".join(groups[:_MOST_GROUPS]) + (
                ", ..." if len(groups) > _MOST_GROUPS else ""
            )
            note(f"{task.name}: the first {limit:,} questions are of {len(groups)} groups: {shown}")
        made.append(Assignment(task, tuple(problems)))
    return tuple(made)


def default_folder(chosen: Sequence[Task], asked: Sequence[Target], settings: Any) -> Path:
    """The same for the same command, which so goes on from where it was; `settings`: JSON."""
    who = [_place(one.reference) if isinstance(one, InProcess) else one.url for one in asked]
    names = [task.name for task in chosen]
    digest = hashlib.sha256(json.dumps([names, who, settings]).encode()).hexdigest()[:8]
    readable = file_name("-".join([*names, *(Path(one).name for one in who)]))[:_MOST_NAME]
    return home() / "evals" / f"{readable}-{digest}"


def _place(reference: str) -> str:
    """Of a file the same from wherever it is named, and another for another of its name."""
    path = Path(reference)
    return str(path.resolve()) if path.exists() else reference
