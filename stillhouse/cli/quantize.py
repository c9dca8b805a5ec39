"""`still quantize`: a model in other formats."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.units import format_bytes, format_seconds, parse_bytes

if TYPE_CHECKING:
    from stillhouse.quantize.importance_facts import Importance, ImportanceFacts
    from stillhouse.quantize.plan import Plan
    from stillhouse.quantize.recipes import Recipe
    from stillhouse.quantize.source import Source

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
        typer.Option(
            metavar="NAME",
            help="q4_k_m, q8_0, iq4_xs, bf16, ..., a FILE.toml; or dynamic, with --size.",
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Of the file, at most, as 900MB: dynamic chooses the formats."
        ),
    ] = None,
    imatrix: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Importance of columns: an imatrix file."),
    ] = None,
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

    still quantize qwen2.5-coder:1.5b small.gguf --recipe dynamic --size 0.9GB --imatrix code.gguf
    """
    from stillhouse import hub
    from stillhouse.cli.quantize_progress import QuantizeBar
    from stillhouse.quantize import pipeline
    from stillhouse.quantize.source import open_source

    how = _how(recipe, size, imatrix, threads or os.cpu_count() or 1)
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(source, progress=pulling)
    opened = open_source(path)
    with opened.checkpoint:
        if not dry_run:
            pipeline.check_target(target, opened, force=force)
        plan = how.plan(opened)
        resumed_bytes, duration_s = 0, None
        if not dry_run:
            started_s = time.perf_counter()
            try:
                with QuantizeBar(plan) as bar:
                    pipeline.quantize(
                        opened,
                        plan,
                        target,
                        importance=how.importance,
                        threads=how.threads,
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


@dataclass(frozen=True, slots=True)
class _How:
    """A recipe (None: the dynamic one, and its size), and what is known of importance."""

    recipe: Recipe | None
    size_bytes: int
    importance: Importance | None
    facts: ImportanceFacts | None
    threads: int

    def plan(self, source: Source) -> Plan:
        from stillhouse.cli.quantize_progress import MeasuringBar
        from stillhouse.quantize.dynamic import plan_dynamic
        from stillhouse.quantize.plan import make_plan

        if self.recipe is None:
            with MeasuringBar() as bar:
                return plan_dynamic(
                    source,
                    self.size_bytes,
                    importance=self.importance,
                    importance_facts=self.facts,
                    threads=self.threads,
                    progress=bar.at,
                )
        has_importance = self.importance is not None
        return make_plan(
            source,
            self.recipe.encodings(source.config.shape, imatrix=has_importance),
            name=self.recipe.name,
            file_type=self.recipe.file_type,
            importance=self.importance,
            importance_facts=self.facts,
        )


def _how(recipe: str, size: str | None, imatrix: Path | None, threads: int) -> _How:
    """The options, checked against each other."""
    from stillhouse.errors import UsageError
    from stillhouse.quantize import recipes
    from stillhouse.quantize.dynamic import NAME
    from stillhouse.quantize.imatrix_files import read_imatrix

    is_dynamic = recipe.lower() == NAME
    if is_dynamic and size is None:
        raise UsageError("the dynamic recipe needs a size", hint="as --size 900MB")
    if not is_dynamic and size is not None:
        raise UsageError(
            f"--size is for the dynamic recipe, and '{recipe}' has the size it has",
            hint="--dry-run says which",
        )
    chosen = None if is_dynamic else recipes.recipe(recipe)
    size_bytes = 0 if size is None else parse_bytes(size)
    if imatrix is None:
        return _How(chosen, size_bytes, None, None, threads)
    matrix = read_imatrix(imatrix)
    return _How(chosen, size_bytes, matrix.weights, matrix.facts(str(imatrix)), threads)


def _table(plan: Plan) -> list[str]:
    rows = [("format", "tensors", "size", "of the file")]
    for name, (count, num_bytes) in plan.by_format().items():
        share = num_bytes / plan.file_bytes
        rows.append((name, str(count), format_bytes(num_bytes), f"{share:.1%}"))
    return aligned(rows, right=(1, 2, 3))
