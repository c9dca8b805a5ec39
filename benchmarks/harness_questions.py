"""The questions that `harnesses.py` has asked by everybody, in files that all of them read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.evals.data import load, read_file
from stillhouse.evals.task import Problem, Row, Task
from stillhouse.evals.tasks import task_named


@dataclass(frozen=True)
class Asked:
    """What one harness gave for one question. `likelihoods` in nats, one a choice."""

    prompt: str
    text: str
    score: float
    likelihoods: tuple[float, ...] = ()


@dataclass(frozen=True)
class Questions:
    """A task's rows, its examples', and the problems that Stillhouse makes of both.

    `folder` holds test.jsonl and, where there are examples, shots.jsonl: the rows as they are.
    """

    task: Task
    folder: Path
    rows: Sequence[Row]
    shots: Sequence[Row]
    problems: Sequence[Problem]

    @property
    def data(self) -> list[str]:
        """As options of `still eval`."""
        shots = ["--shots-data", str(self.folder / "shots.jsonl")] if self.shots else []
        return ["--data", str(self.folder / "test.jsonl"), *shots]


def questions(name: str, file: Path, limit: int, folder: Path) -> Questions:
    """The first `limit` of the file, sorted by subject; examples are taken from behind them.

    Only a test split may be at hand. What is an example here is never asked.
    """
    task = task_named(name)
    rows = [placed.row for placed in read_file(file)]
    shots: list[Row] = []
    if name == "openllm_mmlu":
        rows, shots = _by_subject(rows, limit, task.num_shots)
    elif task.num_shots:
        rows, shots = rows[:limit], rows[limit:]
    else:
        rows = rows[:limit]
    folder.mkdir()
    write_lines(folder / "test.jsonl", rows)
    if shots:
        write_lines(folder / "shots.jsonl", shots)
    problems = load(
        task,
        data=folder / "test.jsonl",
        shots_data=folder / "shots.jsonl" if shots else None,
        note=lambda text: print(text, file=sys.stderr),
    )
    return Questions(task, folder, rows, shots, problems)


def subject_of(row: Row) -> str:
    return str(row.get("subject") or row["type"])


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _by_subject(rows: Sequence[Row], limit: int, num_shots: int) -> tuple[list[Row], list[Row]]:
    """The last rows of each subject are its examples; those of one with no more are left out."""
    subjects: dict[str, list[Row]] = {}
    for row in rows:
        subjects.setdefault(subject_of(row), []).append(row)
    shots = [row for every in subjects.values() for row in every[-num_shots:]]
    held = set(map(id, shots))
    asked = [row for row in rows if id(row) not in held][:limit]
    return sorted(asked, key=subject_of), shots
