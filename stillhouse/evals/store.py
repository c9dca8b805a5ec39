"""A run's folder: what was asked, every sample as it came, and the settings it came from.

    DIR/questions/gsm8k.jsonl         what is asked, the same for all models
    DIR/smollm2-135m/run.json         a model and its settings, which never change in a folder
    DIR/smollm2-135m/gsm8k.jsonl      the samples
    DIR/smollm2-135m/gsm8k.times.jsonl   when each was done

Samples are appended as they end and sorted when all are there, so that runs with the same seeds end
in the same bytes however often they were killed. Times, which differ, are kept apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from stillhouse.errors import UsageError
from stillhouse.evals.lines import LineFile, line_of, parse_line, whole_lines, write_whole
from stillhouse.evals.run_settings import ANOTHER, SETTINGS, check_label, grown, read_settings
from stillhouse.evals.sample import Sample
from stillhouse.evals.task import Problem
from stillhouse.hub.locking import locked

_SAMPLES = TypeAdapter(Sample)
_PROBLEMS = TypeAdapter(Problem)


@dataclass(frozen=True, slots=True)
class Done:
    """When a sample was done: seconds since its session, one command's work at a task, began."""

    problem: str
    number: int
    session: int
    at_s: float
    ttft_s: float | None
    e2e_s: float | None


_TIMES = TypeAdapter(Done)


class RunFolder:
    """A folder that this process alone writes to. A context manager."""

    def __init__(self, path: Path, note: Callable[[str], None] = lambda _: None) -> None:
        """Makes the folder; `note` hears of what had to be mended. Raises UsageError where another
        process is at work in it, or where no folder can be made.
        """
        self.path = path
        self._note = note
        self._held = ExitStack()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(path / ".lock", on_wait=self._refuse))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}") from error

    def ask(self, task: str, problems: Sequence[Problem]) -> None:
        """Notes what is asked, beside what was asked before: that may be more. Raises as `compare`
        does."""
        if self.compare(task, problems) < len(problems):
            path = self._questions(task)
            path.parent.mkdir(exist_ok=True)
            write_whole(path, map(_line, problems))

    def compare(self, task: str, problems: Sequence[Problem]) -> int:
        """How many were asked before. Raises UsageError where something else was asked here."""
        path = self._questions(task)
        lines = map(_line, problems)
        before, _ = whole_lines(path)
        for number, (old, new) in enumerate(zip(before, lines, strict=False), 1):
            if old + b"\n" != new:
                raise UsageError(
                    f"question {number} of {task} is '{problems[number - 1].id}', and another one,"
                    f" or worded otherwise, in {self.path}",
                    hint=ANOTHER,
                )
        return len(before)

    def options(self, label: str) -> dict[str, dict[str, Any]]:
        """How each task was asked of a model before; empty where it was asked nothing yet."""
        path = self.path / file_name(label) / SETTINGS
        tasks = read_settings(path)["tasks"] if path.exists() else {}
        return {name: task["options"] for name, task in tasks.items()}

    def run(self, label: str, settings: Mapping[str, Any]) -> RunStore:
        """The part of the folder for a model and its settings. Raises UsageError, which names what
        differs, if others were used under this label before, or if its server's samples are under
        another label: two servers of one model are told apart by the order in which they are named.
        """
        store = RunStore(self.path / file_name(label), self._note)
        if settings.get("url") is not None:
            others = [read_settings(path) for path in self.path.glob(f"*/{SETTINGS}")]
            check_label(label, settings, others, self.path)
        store.check(settings)
        return store

    def close(self) -> None:
        self._held.close()

    def _questions(self, task: str) -> Path:
        return self.path / "questions" / f"{file_name(task)}.jsonl"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse(self) -> None:
        raise UsageError(
            f"another process is at work in {self.path}", hint="wait for it, or give another folder"
        )


class RunStore:
    """The samples of one model with one set of settings."""

    def __init__(self, path: Path, note: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._note = note

    def check(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings, beside those of earlier tasks; see `RunFolder.run`."""
        path = self.path / SETTINGS
        before = read_settings(path) if path.exists() else {}
        whole = grown(before, settings, self.path)
        if whole != before:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(path, [json.dumps(whole, indent=1, ensure_ascii=False).encode(), b"\n"])

    def settings(self) -> dict[str, Any]:
        return read_settings(self.path / SETTINGS)

    def open(self, task: str, *, to_read: bool = False) -> TaskStore:
        """The samples of a task so far, to add to; or `to_read` alone, as they are now."""
        return TaskStore(self.path, task, self._note, mend=not to_read)


class TaskStore:
    """The samples of a task, in memory and on disk. A context manager."""

    def __init__(
        self, folder: Path, task: str, note: Callable[[str], None], *, mend: bool = True
    ) -> None:
        """Reads what is there. A last line that a kill has torn is dropped with a note, from the
        file too if that is to be mended. Raises UsageError for a file of something else.
        """
        self._path = folder / f"{file_name(task)}.jsonl"
        self._samples: dict[tuple[str, int], Sample] = {}
        times_path = folder / f"{file_name(task)}.times.jsonl"
        for sample in _read(_SAMPLES, self._path, note, mend=mend):
            if sample.task != task:
                raise UsageError(f"{self._path} holds a sample of {sample.task[:100]}")
            self._samples.setdefault((sample.problem, sample.number), sample)
        self._times: list[Done] = list(_read(_TIMES, times_path, note, mend=mend))
        self.session = 1 + max((done.session for done in self._times), default=-1)
        self._lines, self._time_lines = LineFile(self._path), LineFile(times_path)

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Whether sample `number` of a problem is there."""
        return key in self._samples

    @property
    def samples(self) -> tuple[Sample, ...]:
        """In no order."""
        return tuple(self._samples.values())

    def of(self, problems: Sequence[Problem], num_samples: int) -> list[Sample]:
        """The first samples of these problems, in no order: a folder may hold more."""
        ids = {problem.id for problem in problems}
        return [one for one in self.samples if one.number < num_samples and one.problem in ids]

    @property
    def num_tokens(self) -> int:
        """Thoughts and answers of all samples."""
        return sum(one.reasoning_tokens + one.answer_tokens for one in self._samples.values())

    @property
    def duration_s(self) -> float:
        """Of all sessions, each until its last sample; what a kill has undone is not in it."""
        ends: dict[int, float] = {}
        for done in self._times:
            ends[done.session] = max(done.at_s, ends.get(done.session, 0.0))
        return sum(ends.values())

    def add(self, sample: Sample, done: Done) -> None:
        """Keeps a sample, on disk before anything else is done with it."""
        key = (sample.problem, sample.number)
        assert key not in self._samples, "a sample is asked once"
        self._lines.append(sample.as_json())
        self._time_lines.append(asdict(done))
        self._samples[key] = sample
        self._times.append(done)

    def sort(self, problems: Sequence[Problem]) -> None:
        """Writes the file again, in the order of the problems; what is of none of them last, as it
        stood."""
        order = {problem.id: (place,) for place, problem in enumerate(problems)}
        last = (len(order),)
        ordered = sorted(
            self._samples.values(),
            key=lambda one: (*order[one.problem], one.number) if one.problem in order else last,
        )
        self._lines.close()
        if ordered:
            write_whole(self._path, (line_of(sample.as_json()) for sample in ordered))

    def close(self) -> None:
        self._lines.close()
        self._time_lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_questions(folder: Path, task: str) -> list[Problem]:
    """What was asked in a run's folder. Raises UsageError where it cannot be read."""
    path = folder / "questions" / f"{file_name(task)}.jsonl"
    return list(_read(_PROBLEMS, path, lambda _: None, mend=False))


def runs_in(folder: Path) -> list[RunStore]:
    """Of every label, sorted. Raises UsageError where there is none."""
    found = [RunStore(path.parent) for path in sorted(folder.glob(f"*/{SETTINGS}"))]
    if not found:
        raise UsageError(f"{folder} holds no run of 'still eval'", hint="a run's --folder is meant")
    return found


def file_name(name: str) -> str:
    """'gym:chain_sum' → 'gym-chain_sum': what every system takes for a file's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "-"


def _read(
    reader: TypeAdapter[Any], path: Path, note: Callable[[str], None], *, mend: bool
) -> Iterator[Any]:
    lines, is_torn = whole_lines(path, mend=mend)
    if is_torn:
        note(f"{path}: its last line was torn, and is dropped")
    for number, line in enumerate(lines, 1):
        yield parse_line(reader, line, path, number)


def _line(problem: Problem) -> bytes:
    """Without `extra`: what graders need may be large, and is no part of what is asked."""
    return line_of(asdict(replace(problem, extra=None)))
