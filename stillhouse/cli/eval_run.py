"""Runs an evaluation until it ends or is stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stillhouse.cli.eval_live import LiveEval
from stillhouse.cli.terminal import LoadingBroken, StageLine, StopRunOnInterrupt
from stillhouse.evals.earlier import read_runs
from stillhouse.evals.grading.grader import Graders
from stillhouse.evals.runs import Results, RunPlan, Target, run
from stillhouse.evals.store import RunFolder
from stillhouse.workers.event_loops import run_in_loop


def run_until_stopped(
    targets: Sequence[Target], plan: RunPlan, folder: Path, results: Results, graders: Graders
) -> None:
    """Fills the results. The first Ctrl-C ends the run, and they are what there is; a second one
    interrupts as ever. Raises as `run` does.
    """

    async def work() -> None:
        text = "stopping: what is whole is kept, and what it says follows"
        with (
            StopRunOnInterrupt(text) as interrupt,
            LiveEval() as live,
            RunFolder(folder, live.note) as kept,
        ):
            live.note(f"every sample is kept in {folder}")
            if any(one.task.grader == "code" for one in plan.assignments):
                for lack in graders.unprotected:
                    live.warn(f"programs run here without {lack}")
            progress = interrupt.breaking(StageLine())
            async with graders:
                await run(
                    targets,
                    plan,
                    kept,
                    graders,
                    live,
                    interrupt.stop,
                    results=results,
                    progress=progress,
                )

    try:
        run_in_loop(work())
    except LoadingBroken:
        results.is_stopped = True


def earlier_runs(folders: Sequence[Path]) -> dict[Path, Results]:
    """Of each folder. Raises UsageError where one holds no run."""
    return {folder.resolve(): read_runs(folder) for folder in folders}


def beside(
    results: Results, earlier: Mapping[Path, Results], folder: Path | None = None
) -> Results:
    """The results behind those of earlier runs. A label that is taken gets a number, `Q4_K_M (2)`,
    but for those of this run, which stay; in its own `folder` it is this run itself.
    """
    taken = {result.label for result in results.results}
    taken |= {sample["label"] for sample in results.samples}
    own = folder and folder.resolve()
    shown = [_but(run, taken) if path == own else run for path, run in earlier.items()]
    every = [*(_told_apart(one, taken) for one in shown), results]
    return Results(
        results=[result for one in every for result in one.results],
        samples=[sample for one in every for sample in one.samples],
        warnings=[warning for one in every for warning in one.warnings],
    )


def _but(run: Results, labels: Collection[str]) -> Results:
    return Results(
        results=[one for one in run.results if one.label not in labels],
        samples=[one for one in run.samples if one["label"] not in labels],
        warnings=[(label, text) for label, text in run.warnings if label not in labels],
    )


def _told_apart(run: Results, taken: set[str]) -> Results:
    """The run with labels that are not taken, which they then are."""
    names: dict[str, str] = {}
    for label in (result.label for result in run.results):
        name, number = label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        names[label] = name
        taken.add(name)
    return Results(
        results=[replace(one, label=names[one.label]) for one in run.results],
        samples=[{**one, "label": names.get(one["label"], one["label"])} for one in run.samples],
        warnings=[(names.get(label, label), text) for label, text in run.warnings],
    )
