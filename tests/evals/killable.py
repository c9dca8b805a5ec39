"""A run for a process of its own, which a test may kill."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from tests.evals.runs import assignment, evaluate
from tests.speaker import Bench

QUESTIONS, SAMPLES = 10, 4
_SLEEP_S = 0.001  # a step of the engine


def run_slowly(folder: Path) -> None:
    """All that is missing in the folder."""
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        bench = Bench(Path(scratch), patch)
        llm = bench.llm(None, "x" * 1000, users=4)
        forward = bench.model.forward

        def slowly(*given: object) -> object:
            time.sleep(_SLEEP_S)
            return forward(*given)  # type: ignore[arg-type]

        bench.model.forward = slowly  # type: ignore[assignment,method-assign]
        evaluate(llm, folder, assignment(QUESTIONS), SAMPLES)
        bench.close()
