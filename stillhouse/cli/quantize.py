"""`still quantize`: a model in other formats."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from stillhouse.quantize.plan import Plan

_INTERRUPTED = 130


def quantize(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A model: a name or tag, a GGUF file, a folder of safetensors."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The GGUF file to write.")],
    recipe: Annotated[
        str,
        typer.Option(metavar="NAME", help="q4_k_m, q8_0, iq4_xs, bf16, ..., or a FILE.toml."),
    ],
    threads: options.Threads = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write a model in the formats of a recipe. A run that was stopped goes on where it was.

    still quantize ./Qwen3-0.6B qwen3-q4.gguf --recipe q4_k_m
    """
    from stillhouse import hub
    from stillhouse.cli.quantize_progress import QuantizeBar
    from stillhouse.quantize import pipeline
    from stillhouse.quantize.plan import make_plan
    from stillhouse.quantize.recipes import recipe as recipe_named
    from stillhouse.quantize.source import open_source

    chosen = recipe_named(recipe)
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(source, progress=pulling)
    opened = open_source(path)
    with opened.checkpoint:
        encodings = chosen.encodings(opened.config.shape, imatrix=False)
        plan = make_plan(opened, encodings, name=chosen.name, file_type=chosen.file_type)
        resumed_bytes, duration_s = 0, None
        if not dry_run:
            pipeline.check_target(target, opened, force=force)
            started_s = time.perf_counter()
            try:
                with QuantizeBar(plan) as bar:
                    pipeline.quantize(
                        opened,
                        plan,
                        target,
                        threads=threads or os.cpu_count() or 1,
                        force=force,
                        progress=bar,
                    )
            except KeyboardInterrupt:
                typer.echo("stopped; the same command goes on from here", err=True)
                raise typer.Exit(_INTERRUPTED) from None
            resumed_bytes, duration_s = bar.resumed_bytes, time.perf_counter() - started_s
    if json:
        print_document(
            "quantize",
            model=source,
            path=str(target),
            dry_run=dry_run,
            source_bytes=plan.source_bytes,
            resumed_bytes=resumed_bytes,
            duration_s=duration_s,
            **plan.as_json(),
        )
        return
    if dry_run:
        print("\n".join(_table(plan)) + "\n")
    print(
        f"{target}: {format_bytes(plan.file_bytes)}, {plan.bits_per_weight:.2f} bits per weight,"
        f" {plan.recipe_name}"
    )
    if duration_s is not None:
        rate = (plan.tensor_bytes - resumed_bytes) / max(duration_s, 1e-9)
        print(
            f"{format_seconds(duration_s)} for {len(plan.tensors)} tensors,"
            f" {format_bytes(rate)}/s written"
        )


def _table(plan: Plan) -> list[str]:
    rows = [("format", "tensors", "size", "of the file")]
    for name, (count, num_bytes) in plan.by_format().items():
        share = num_bytes / plan.file_bytes
        rows.append((name, str(count), format_bytes(num_bytes), f"{share:.1%}"))
    return aligned(rows, right=(1, 2, 3))
