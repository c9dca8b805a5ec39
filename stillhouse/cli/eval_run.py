"""Runs an evaluation until it ends or is stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stillhouse.cli.eval_live import LiveEval
from stillhouse.cli.terminal import StageLine, note
from stillhouse.evals.earlier import read_runs
from stillhouse.evals.grading.grader import Graders
from stillhouse.evals.runs import Results, RunPlan, Target, run
from stillhouse.evals.store import RunFolder
from stillhouse.workers.event_loops import run_in_loop


def run_until_stopped(
    targets: Sequence[Target], plan: RunPlan, folder: Path, results: Results, *, allow_code: bool
) -> None:
    """Fills the results. The first Ctrl-C ends the run, and they are what there is; a second one
    interrupts as ever. Raises as `run` does.
    """

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def interrupt() -> None:
            note("stopping: what is whole is kept, and what it says follows")
            loop.remove_signal_handler(signal.SIGINT)
            stop.set()

        graders = Graders(run_code=allow_code)
        for one in plan.assignments:
            if one.task.grader is not None:
                graders.check(one.task.grader)
        with suppress(NotImplementedError):  # Windows has no handlers in its loops
            loop.add_signal_handler(signal.SIGINT, interrupt)
        with LiveEval() as live, RunFolder(folder, live.note) as kept:
            live.note(f"every sample is kept in {folder}")
            if any(one.task.grader == "code" for one in plan.assignments):
                for lack in graders.unprotected:
                    live.warn(f"programs run here without {lack}")
            stages = StageLine()
            async with graders:
                await run(
                    targets, plan, kept, graders, live, stop, results=results, progress=stages
                )

    run_in_loop(work())


def beside(results: Results, folders: Sequence[Path]) -> Results:
    """The results behind those of earlier runs, whose labels they take where both have one."""
    labels = {result.label for result in results.results}
    earlier = [read_runs(folder, but=labels) for folder in folders]
    every = [*earlier, results]
    return Results(
        results=[result for one in every for result in one.results],
        samples=[sample for one in every for sample in one.samples],
        warnings=[warning for one in every for warning in one.warnings],
    )
