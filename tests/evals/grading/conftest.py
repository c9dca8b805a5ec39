from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stillhouse.evals.grading.code import ProgramLimits
from stillhouse.evals.grading.grader import Graders, GradingLimits
from stillhouse.evals.sample import Grade
from stillhouse.evals.task import GraderName, Problem

GradeOne = Callable[..., Grade]


@pytest.fixture(scope="package")
def graders() -> Iterator[tuple[asyncio.Runner, Graders]]:
    """One process for all tests, since sympy takes a second to import. Limits are short."""
    limits = GradingLimits(
        cpu_s=0.7,
        memory_bytes=512 << 20,
        programs=ProgramLimits(cpu_s=1, test_s=30.0, memory_bytes=256 << 20, output_bytes=1 << 20),
    )
    with asyncio.Runner() as runner:
        graders = Graders(run_code=True, limits=limits)
        yield runner, graders
        runner.run(graders.__aexit__())


@pytest.fixture
def grade(graders: tuple[asyncio.Runner, Graders]) -> GradeOne:
    """`grade("number", gold, answer, finish_reason, thinking_end, extra={...})`."""
    runner, running = graders

    def grade(
        grader: GraderName, gold: str, *parts: str, extra: dict[str, Any] | None = None
    ) -> Grade:
        problem = Problem("1", "a question", gold, extra=extra)
        return runner.run(running.grade(grader, problem, *parts))

    return grade
