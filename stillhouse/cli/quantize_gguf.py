"""`still quantize` where the recipe makes a GGUF file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillhouse.cli.document import print_document
from stillhouse.cli.quantize_text import TextOptions
from stillhouse.cli.table import aligned
from stillhouse.cli.terminal import note
from stillhouse.errors import UsageError
from stillhouse.units import format_bytes, format_seconds, parse_bytes

if TYPE_CHECKING:
    from stillhouse.quantize.importance import ImportanceMatrix
    from stillhouse.quantize.importance_facts import Importance, ImportanceFacts
    from stillhouse.quantize.plan import Plan
    from stillhouse.quantize.recipes import Recipe
    from stillhouse.quantize.source import Source

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class ImportanceOptions:
    """Where an importance matrix comes from: a text, a file, or neither."""

    text: TextOptions
    file: Path | None

    @property
    def file_name(self) -> str:
        """What the new file says that its importance is from."""
        return str(self.file or self.text.name)


def quantize_gguf(
    reference: str,
    target: Path,
    recipe_name: str,
    importance: ImportanceOptions,
    *,
    size: str | None,
    threads: int | None,
    dry_run: bool,
    force: bool,
    json: bool,
) -> None:
    """Write the file, or say what would be written. Raises the errors of `pipeline.quantize`."""
    from stillhouse import hub
    from stillhouse.cli.quantize_progress import QuantizeBar
    from stillhouse.hardware import this_machine
    from stillhouse.quantize import pipeline
    from stillhouse.quantize.source import open_source

    _check_importance(importance)
    choice = _choice(recipe_name, size, target)
    count = threads or this_machine().physical_cores
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(reference, progress=pulling)
    opened = open_source(path)
    with opened.checkpoint:
        if not dry_run:
            pipeline.check_target(target, opened, force=force)
        matrix = _importance(importance, opened, reference, threads=count)
        weights = None if matrix is None else matrix.weights
        facts = None if matrix is None else matrix.facts(importance.file_name)
        plan = _plan(choice, opened, weights, facts, threads=count)
        resumed_bytes, duration_s = 0, None
        if not dry_run:
            started_s = time.perf_counter()
            try:
                with QuantizeBar(plan) as bar:
                    pipeline.quantize(
                        opened,
                        plan,
                        target,
                        importance=weights,
                        threads=count,
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
            model=reference,
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
class _Dynamic:
    """Formats chosen within a size."""

    size_bytes: int


def _choice(name: str, size: str | None, target: Path) -> Recipe | _Dynamic:
    from stillhouse.quantize import dynamic, folder_schemes, recipes

    if name.lower() in folder_schemes.SCHEMES and name.lower() not in recipes.known_recipes():
        raise UsageError(
            f"{name} makes a folder, and {target} is the name of a GGUF file",
            hint=f"give the folder's name, as {target.with_suffix('')}",
        )
    if name.lower() == dynamic.NAME:
        if size is None:
            raise UsageError("the dynamic recipe needs a size", hint="as --size 900MB")
        return _Dynamic(parse_bytes(size))
    if size is not None:
        raise UsageError(
            f"--size is for the dynamic recipe, and '{name}' has the size it has",
            hint="--dry-run says which",
        )
    return recipes.recipe(name)


def _plan(
    choice: Recipe | _Dynamic,
    source: Source,
    importance: Importance | None,
    facts: ImportanceFacts | None,
    *,
    threads: int,
) -> Plan:
    from stillhouse.cli.quantize_progress import MeasuringBar
    from stillhouse.quantize.dynamic import plan_dynamic
    from stillhouse.quantize.plan import make_plan

    if isinstance(choice, _Dynamic):
        with MeasuringBar() as bar:
            return plan_dynamic(
                source,
                choice.size_bytes,
                importance=importance,
                importance_facts=facts,
                threads=threads,
                progress=bar.at,
            )
    return make_plan(
        source,
        choice.encodings(source.config.shape, imatrix=importance is not None),
        name=choice.name,
        file_type=choice.file_type,
        importance=importance,
        importance_facts=facts,
    )


def _check_importance(importance: ImportanceOptions) -> None:
    if importance.file is not None and importance.text.is_given:
        raise UsageError("--imatrix and a text are given", hint="importance comes from one of them")


def _importance(
    importance: ImportanceOptions, opened: Source, reference: str, *, threads: int
) -> ImportanceMatrix | None:
    """Read, or measured by letting the source read the text; None where neither is asked."""
    from stillhouse.cli.reading_bar import ReadingBar
    from stillhouse.quantize.imatrix_files import read_imatrix
    from stillhouse.quantize.importance_measurement import measure_importance

    if importance.file is not None:
        return read_imatrix(importance.file)
    text = importance.text
    if not text.is_given:
        return None
    with ReadingBar() as bar:
        matrix = measure_importance(
            opened.checkpoint,
            text.read(reference, threads=threads, bar=bar),
            name=text.name,
            threads=threads,
            window=text.sample_tokens,
            max_tokens=text.samples * text.sample_tokens,
            loading=bar.loading,
            progress=bar.reading,
        )
    note(
        f"importance from {matrix.num_windows} pieces of {matrix.window_tokens} tokens of"
        f" {text.name}"
    )
    return matrix


def _table(plan: Plan) -> list[str]:
    rows = [("format", "tensors", "size", "of the file")]
    for name, (count, num_bytes) in plan.by_format().items():
        share = num_bytes / plan.file_bytes
        rows.append((name, str(count), format_bytes(num_bytes), f"{share:.1%}"))
    return aligned(rows, right=(1, 2, 3))
