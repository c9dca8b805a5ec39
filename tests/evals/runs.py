"""A small task, a grader without a process, and a run of them in one call."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stillhouse.client import Client
from stillhouse.evals.asking import Assignment, TaskSettings
from stillhouse.evals.runner import Limits, Talker, TaskRunner
from stillhouse.evals.sample import Grade, Sample
from stillhouse.evals.store import RunFolder
from stillhouse.evals.task import GraderName, Problem, Row, Task

RUN_SEED = 11
# Hot enough that what a scripted model says depends on the seed.
HOT: Any = {"temperature": 30.0, "top_p": 1.0, "max_tokens": 30}


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [Problem(f"toy/{number}", row["question"], "8") for number, row in enumerate(rows)]


def toy(**fields: Any) -> Task:
    given: dict[str, Any] = {
        "name": "toy",
        "version": 1,
        "title": "Legs",
        "source": "made here",
        "asking": "chat",
        "prompt": "{question}",
        "problems": _problems,
        "grader": "number",
    }
    return Task(**given | fields)


def assignment(questions: int, task: Task | None = None) -> Assignment:
    task = toy() if task is None else task
    rows = [{"question": f"How many legs have {n} spiders? " * 3} for n in range(questions)]
    return Assignment(task, tuple(task.problems(rows, (), 0)))


class Coin:
    """Grades by the answer's bits, which nobody can guess and everybody gets again."""

    async def grade(
        self,
        grader: GraderName,
        problem: Problem,
        *,
        answer: str,
        finish_reason: str,
        thinking_end: str,
    ) -> Grade:
        await asyncio.sleep(0)
        if finish_reason == "loop" or thinking_end == "loop":
            return Grade("looped")
        is_right = zlib.crc32(f"{grader}{problem.gold}{answer}".encode()) % 2 == 0
        return Grade("right" if is_right else "wrong", extracted=answer[:3])


class Ear:
    """Remembers what it is told; `on_sample` may act on it."""

    def __init__(self, on_sample: Callable[[int], None] = lambda _: None) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.samples: list[Sample] = []
        self.pieces = 0
        self._on_sample = on_sample

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def piece(self) -> None:
        self.pieces += 1

    def sample_ended(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._on_sample(len(self.samples))


def evaluate(
    talker: Talker,
    path: Path,
    asked: Assignment,
    samples: int = 1,
    *,
    ear: Ear | None = None,
    options: Any = HOT,
    concurrency: int = 3,
    tokens: int | None = None,
    stop_after: int | None = None,
) -> Ear:
    """Runs what is missing in a folder, as one session of a command would."""
    ear = Ear() if ear is None else ear
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    async def work(ear: Ear) -> None:
        stop = asyncio.Event()
        told = ear.sample_ended

        def sample_ended(sample: Sample) -> None:
            told(sample)
            if len(ear.samples) == stop_after:
                stop.set()

        ear.sample_ended = sample_ended  # type: ignore[method-assign]
        settings = TaskSettings(samples, options)
        with RunFolder(path, ear.note) as folder:
            name = asked.task.name
            folder.ask(name, asked.problems)
            run = folder.run("model", {"tasks": {name: settings.as_json(asked)}})
            with run.open(name) as store:
                runner = TaskRunner(
                    asked, settings, RUN_SEED, talker, Coin(), store,
                    Limits(concurrency, tokens), ear, stop,
                    clock=itertools.count().__next__, sleep=sleep,
                )  # fmt: skip
                try:
                    await runner.run()
                finally:
                    if isinstance(talker, Client):
                        await talker.aclose()

    asyncio.run(work(ear))
    return ear


def samples_file(path: Path, task: str = "toy") -> Path:
    return path / "model" / f"{task}.jsonl"
