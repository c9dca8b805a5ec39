"""Graders: an answer goes in, a verdict comes out, whatever the answer holds.

    async with Graders() as graders:
        grade = await graders.grade("mathematics", problem, answer)

Numbers and letters are found by patterns that take time in proportion to the text. Mathematics and
procedural tasks are compared in processes of their own, which are killed when they take too long;
programs are run only with `run_code`, each in a sandbox.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Self

from stillhouse.errors import UsageError
from stillhouse.evals.grading import boxes, code, letter, number
from stillhouse.evals.grading.answers import claimed, cut, shortened, tagged, unanswered, with_marks
from stillhouse.evals.grading.confinement import missing_protection
from stillhouse.evals.grading.process import GradingProcess, missing
from stillhouse.evals.sample import Grade
from stillhouse.evals.task import GraderName, Problem

_LIBRARIES: dict[GraderName, str] = {"mathematics": "math_verify", "procedural": "reasoning_gym"}
_MOST_FORMULA = 2000  # characters of mathematics that are parsed; longer ones compared as text
_MOST_SEARCHED = 4000  # characters at the end of an answer without a box


@dataclass(frozen=True, slots=True)
class GradingLimits:
    """For each answer; `programs` are those of the code that answers hold.

    Time is CPU time, so that a verdict does not depend on what else the machine computes.
    """

    cpu_s: float = 5.0
    memory_bytes: int = 1 << 30
    programs: code.ProgramLimits = field(default_factory=code.ProgramLimits)


class Graders:
    """For the tasks of one event loop; as many answers are compared at once as there are workers.

    Attributes:
        unprotected: what this system lacks of the sandbox, in words; to warn of before code runs.
    """

    def __init__(
        self, *, workers: int = 1, run_code: bool = False, limits: GradingLimits | None = None
    ) -> None:
        """`run_code` allows programs that a model wrote to be run here. Raises UsageError."""
        if workers < 1:
            raise UsageError(f"{workers} grading processes, and there must be at least 1")
        self._limits = limits or GradingLimits()
        self._run_code = run_code
        self._free: asyncio.Queue[GradingProcess] = asyncio.Queue()
        self._processes = [
            GradingProcess(cpu_s=self._limits.cpu_s, memory_bytes=self._limits.memory_bytes)
            for _ in range(workers)
        ]
        for process in self._processes:
            self._free.put_nowait(process)
        self.unprotected = missing_protection()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            await process.close()

    def check(self, grader: GraderName) -> None:
        """Raises UsageError if the grader may not run, or lacks its library: for before anything is
        generated."""
        self._check_allowed(grader)
        library = _LIBRARIES.get(grader)
        if library is not None and find_spec(library) is None:
            raise missing(grader, library)

    def _check_allowed(self, grader: GraderName) -> None:
        if grader == "code" and not self._run_code:
            raise UsageError(
                "this task runs programs that the model writes, and nobody has allowed that",
                hint="--allow-code allows it: each runs in a sandbox without files and network",
            )

    async def grade(
        self,
        grader: GraderName,
        problem: Problem,
        answer: str,
        finish_reason: str = "stop",
        thinking_end: str = "none",
    ) -> Grade:
        """The verdict on an answer, whose thought was split off before.

        `finish_reason` and `thinking_end` are the reply's: they tell why there is no answer, and
        that an answer which was cut off must have said what it settles on. Raises UsageError for
        code that is not allowed, and for a library that is missing.
        """
        self._check_allowed(grader)
        text, note = cut(answer)
        ended = finish_reason not in ("length", "loop", "cancelled")
        grade = await self._grade(grader, problem, text, ended)
        if grade is None:
            return Grade(unanswered(finish_reason, thinking_end), None, note)
        notes = [one for one in (note, grade.note) if one]
        return replace(grade, note="; ".join(notes) or None, extracted=shortened(grade.extracted))

    async def _grade(
        self, grader: GraderName, problem: Problem, text: str, ended: bool
    ) -> Grade | None:
        """None where there is no answer in the text."""
        match grader:
            case "strict_number":
                found = number.strict(text)
                return _grade(found is not None and number.is_strictly(found, problem.gold), found)
            case "number":
                found = number.find(text, ended=ended)
                return _grade(found is not None and number.same(found, problem.gold), found)
            case "letter":
                found = letter.find(text, _choices(problem), ended=ended)
                return _grade(found == problem.gold.strip().upper(), found)
            case "mathematics":
                return await self._mathematics(problem, text, ended)
            case "procedural":
                return await self._procedural(problem, text, ended)
            case "code":
                return await self._code(problem, text)

    async def _mathematics(self, problem: Problem, text: str, ended: bool) -> Grade | None:
        boxed = boxes.last_boxed(text)
        searched = "" if boxed is not None else with_marks(text, ended=ended)[-_MOST_SEARCHED:]
        if not (boxed or searched).strip():
            return None
        claim = boxed if boxed is not None else claimed(searched, problem.gold)
        if claim is not None and boxes.plain(claim) == boxes.plain(problem.gold):
            return Grade("right", claim)
        if claim is not None and len(claim) > _MOST_FORMULA:
            return Grade("wrong", claim, f"{len(claim):,} characters: compared as text only")
        reply = await self._ask(
            {"kind": "mathematics", "gold": problem.gold, "boxed": claim, "text": searched}
        )
        if "failed" in reply:
            return Grade("wrong", claim, _failure(reply))
        if reply["extracted"] is None and boxes.are_words(problem.gold):
            return _grade(False, claim)
        return _grade(reply["right"], reply["extracted"])

    async def _procedural(self, problem: Problem, text: str, ended: bool) -> Grade | None:
        found = tagged(text, ended=ended)
        if found is None:
            return None
        order = {"kind": "procedural", "gold": problem.gold, "text": found, "extra": problem.extra}
        reply = await self._ask(order)
        if "failed" in reply:
            return _grade(found == problem.gold, found, _failure(reply))
        return _grade(reply["right"], found, reply["note"])

    async def _code(self, problem: Problem, text: str) -> Grade | None:
        program = code.find(text)
        if program is None:
            return None
        process = await self._free.get()  # programs count among those that run at once
        try:
            right, fault = await code.passes(program, problem.extra or {}, self._limits.programs)
        finally:
            self._free.put_nowait(process)
        return _grade(right, program, fault)

    async def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        process = await self._free.get()
        try:
            return await process.ask(order)
        finally:
            self._free.put_nowait(process)


def _grade(right: bool, extracted: str | None, note: str | None = None) -> Grade | None:
    if extracted is None:
        return None
    return Grade("right" if right else "wrong", extracted, note)


def _failure(reply: dict[str, Any]) -> str:
    return f"the grader {reply['failed']}; compared as text"


def _choices(problem: Problem) -> tuple[str, ...]:
    return problem.choices or tuple((problem.extra or {}).get("choices", ()))
