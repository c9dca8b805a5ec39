"""Runs a benchmark until it ends or is stopped, and shows what it found in every form."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillhouse.bench.columns import table_of
from stillhouse.bench.document import BenchDocument
from stillhouse.bench.figures import seconds, three_figures
from stillhouse.bench.markdown import bench_markdown, heading_of
from stillhouse.bench.page import page
from stillhouse.bench.runs import Results, RunPlan, Target, run
from stillhouse.bench.slo import Slo
from stillhouse.bench.speedups import Speedup, speedups
from stillhouse.cli.bench_live import LiveBench
from stillhouse.cli.document import write_whole
from stillhouse.cli.table import aligned
from stillhouse.cli.terminal import LoadingBroken, StageLine, StopRunOnInterrupt
from stillhouse.workers.event_loops import run_in_loop


def run_until_stopped(targets: Sequence[Target], plan: RunPlan, results: Results) -> None:
    """Fills the results. The first Ctrl-C ends the cell that runs, and they are what there is; a
    second one interrupts as ever. Raises as `run` does.
    """
    num_cells = 0 if plan.sweep else len(targets) * len(plan.workloads) * len(plan.loads)

    async def work() -> None:
        with (
            StopRunOnInterrupt("stopping: what was measured follows") as interrupt,
            LiveBench(num_cells) as live,
        ):
            progress = interrupt.breaking(StageLine())
            await run(targets, plan, live, interrupt.stop, results=results, progress=progress)

    try:
        run_in_loop(work())
    except LoadingBroken:
        results.is_stopped = True


def report(
    document: dict[str, Any],
    results: Results,
    earlier: Sequence[BenchDocument],
    *,
    slo: Slo,
    save: Path | None,
    html: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Files first, then stdout: the table, or the document. `earlier` runs stand in tables and
    pages, not in the document.
    """
    cells = (*(cell for run in earlier for cell in run.results), *results.cells)
    comparisons = speedups(cells)
    shown = document | {
        "results": [cell.as_json() for cell in cells],
        "comparisons": [one.as_json() for one in comparisons],
        "notes": [*(note for run in earlier for note in run.notes), *results.notes],
    }
    whole = BenchDocument.of(shown, cells, slo)
    if save is not None:
        write_whole(save, json.dumps(document, indent=1) + "\n")
    if html is not None:
        write_whole(html, page(shown))
    if markdown is not None:
        write_whole(markdown, bench_markdown(whole))
    if as_json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    if not cells:
        print("nothing was measured")
        return
    columns, rows = table_of(cells)
    headings = [column.heading.upper() for column in columns]
    right = [number for number, column in enumerate(columns) if column.is_right]
    lines = [heading_of(whole), "", *aligned([headings, *rows], right=right)]
    said = [*(sweep.sentence for sweep in results.sweeps), *map(_sentence, comparisons)]
    print("\n".join([*lines, *([""] if said else []), *said]))


def _sentence(one: Speedup) -> str:
    parts = []
    if one.single_stream_speedup is not None and one.single_stream_s is not None:
        parts.append(
            f"{one.single_stream_speedup:.2f}x alone ({seconds(one.single_stream_s)} an answer)"
        )
    if one.multi_stream_speedup is not None and one.multi_stream_per_s is not None:
        parts.append(
            f"{one.multi_stream_speedup:.2f}x together"
            f" ({three_figures(one.multi_stream_per_s)} answers/s)"
        )
    return f"{one.model} against {one.baseline}, {one.workload}: {', '.join(parts)}"
