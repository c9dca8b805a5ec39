"""A benchmark, or a comparison of two, as a Markdown table between what one has to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stillhouse.bench.columns import table_of
from stillhouse.bench.compare import Comparison, title_of
from stillhouse.bench.comparison_rows import HEADINGS, RIGHT, row_of
from stillhouse.bench.document import BenchDocument
from stillhouse.bench.records import Cell


def bench_markdown(document: BenchDocument) -> str:
    """A line of machine, version and load; a row for each cell; the notes."""
    parts = [escaped(heading_of(document))]
    if document.results:
        columns, rows = table_of(document.results)
        right = [number for number, column in enumerate(columns) if column.is_right]
        parts.append(table([column.heading for column in columns], rows, right=right))
    notes = [*_own_notes(document), *document.notes]
    if notes:
        parts.append("\n".join(f"- {escaped(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def comparison_markdown(
    comparison: Comparison, a: tuple[str, BenchDocument], b: tuple[str, BenchDocument]
) -> str:
    """`a` and `b`: the files' names with what is in them."""
    parts = [
        "\n".join(
            f"- {letter}: {escaped(origin_of(name, document))}"
            for letter, (name, document) in (("A", a), ("B", b))
        )
    ]
    if comparison.warnings:
        parts.append("\n".join(f"- **{escaped(text)}**" for text in comparison.warnings))
    for cell in comparison.results:
        rows = [row_of(figure, comparison.threshold) for figure in cell.figures]
        parts += [f"**{escaped(title_of(cell.a))}**", table(HEADINGS, rows, right=RIGHT)]
    below = [*left_over(comparison), *comparison.notes]
    if below:
        parts.append("\n".join(f"- {escaped(text)}" for text in below))
    return "\n\n".join(parts) + "\n"


def origin_of(name: str, document: BenchDocument) -> str:
    """`a.json: Stillhouse 0.5.0 at 0123456, 2026-11-25, A Processor`."""
    return f"{name}: {_version(document)}, {document.date[:19]}, {_machine(document)}"


def left_over(comparison: Comparison) -> Iterator[str]:
    """A line for each cell that only one of the files has."""
    for letter, cells in (("A", comparison.only_in_a), ("B", comparison.only_in_b)):
        yield from (f"only in {letter}: {title_of(cell)}" for cell in cells)


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    """A pipe table; columns numbered in `right` are flush right."""
    rule = ["---:" if number in right else ":---" for number in range(len(headings))]
    lines = [[escaped(text) for text in line] for line in (headings, *rows)]
    lines.insert(1, rule)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Text that stays text in a line or cell, whatever a server calls its model."""
    for character in "\\`*|<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def heading_of(document: BenchDocument) -> str:
    """A line: the machine, what measured, under which load and promises."""
    loads = dict.fromkeys(map(_workload, document.results))
    models = dict.fromkeys(cell.model for cell in document.results)
    promises = str(document.slo)
    parts = [
        f"{_machine(document)}; {_version(document)}, {document.date[:19]}",
        *models,
        *([f"workload {', '.join(loads)}"] if loads else []),
        *([f"goodput: requests with {promises}"] if promises else []),
    ]
    return "; ".join(parts)


def _own_notes(document: BenchDocument) -> Iterator[str]:
    """What no column says."""
    for cell in document.results:
        if not cell.is_complete:
            yield f"{title_of(cell)}: stopped; only what had ended is in it"


def _workload(cell: Cell) -> str:
    lengths = [
        "of natural length" if tokens is None else f"of {tokens:,} tokens"
        for tokens in (cell.prompt_tokens, cell.output_tokens)
    ]
    return f"{cell.workload} (prompts {lengths[0]}, outputs {lengths[1]})"


def _version(document: BenchDocument) -> str:
    commit = f" at {document.commit[:7]}" if document.commit else ""
    changed = "+" if document.commit and document.commit.endswith("+") else ""
    return f"Stillhouse {document.stillhouse}{commit}{changed}"


def _machine(document: BenchDocument) -> str:
    cpu = document.machine.get("cpu") or "an unknown processor"
    cores = document.machine.get("physical_cores")
    return f"{cpu}, {cores} cores" if cores else str(cpu)
