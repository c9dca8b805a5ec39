"""`still bench compare`: whether a second benchmark is better or worse, or cannot be told apart."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.cli.terminal import dim
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.bench.compare import Comparison
    from stillhouse.bench.document import BenchDocument

COMMAND = "bench compare"

_REGRESSION = 1
_WIDTH = 110
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?(%?)")


def bench_compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="What 'still bench --json' wrote.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The run to judge by A.")],
    threshold: Annotated[
        str, typer.Option(metavar="SHARE", help="How much worse is a regression.")
    ] = "5%",
    json: options.Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, as for a pull request.")
    ] = False,
) -> None:
    """Whether B is better or worse than A, with intervals. Exits with 1 for a regression.

    still bench compare before.json after.json

    still bench compare before.json after.json --threshold 10% --markdown
    """
    if json and markdown:
        raise UsageError("--json and --markdown are two forms", hint="give one of them")
    comparison = compare_runs(a, b, threshold=parse_share(threshold), json=json, markdown=markdown)
    if comparison.regressions:
        raise typer.Exit(_REGRESSION)


def compare_runs(
    path_a: Path, path_b: Path, *, threshold: float, json: bool = False, markdown: bool = False
) -> Comparison:
    """Print the comparison of two files. Raises UsageError for what is no run of `still bench`."""
    from stillhouse.bench.compare import compare
    from stillhouse.bench.document import read_document
    from stillhouse.bench.markdown import comparison_markdown

    a, b = read_document(path_a), read_document(path_b)
    comparison = compare(a, b, threshold=threshold)
    sides = (str(path_a), a), (str(path_b), b)
    if json:
        print_document(COMMAND, a=_file(*sides[0]), b=_file(*sides[1]), **comparison.as_json())
    elif markdown:
        sys.stdout.write(comparison_markdown(comparison, *sides))
    else:
        print("\n".join(_lines(comparison, *sides)))
    return comparison


def parse_share(text: str) -> float:
    """'5%' and '0.05' → 0.05. Raises UsageError for anything else, and from 100 % on."""
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else 1.0
    if share >= 1:
        raise UsageError(f"'{text}' is not a share below 100 %", hint="write it as 5% or 0.05")
    return share


def _file(name: str, document: BenchDocument) -> dict[str, Any]:
    names = ("stillhouse", "commit", "date", "machine")
    return {"path": name, **{one: getattr(document, one) for one in names}}


def _lines(
    comparison: Comparison, a: tuple[str, BenchDocument], b: tuple[str, BenchDocument]
) -> list[str]:
    from stillhouse.bench.compare import title_of
    from stillhouse.bench.comparison_rows import HEADINGS, RIGHT, row_of
    from stillhouse.bench.markdown import left_over, origin_of

    lines = [f"A: {origin_of(*a)}", f"B: {origin_of(*b)}"]
    lines += [line for text in comparison.warnings for line in _wrapped(f"warning: {text}")]
    cells = comparison.results
    rows = [row_of(figure, comparison.threshold) for cell in cells for figure in cell.figures]
    head, *body = aligned([tuple(one.upper() for one in HEADINGS), *rows], right=RIGHT)
    texts = iter(body)
    for cell in cells:
        requests = f"{cell.a.requests:,} and {cell.b.requests:,} requests"
        lines += ["", f"{title_of(cell.a)}: {requests}", head]
        for figure in cell.figures:
            text = next(texts)
            lines.append(text if figure.verdict in ("better", "worse") else dim(text, sys.stdout))
    lines += ["", *left_over(comparison)]
    for text in comparison.notes:
        lines += [dim(line, sys.stdout) for line in _wrapped(f"note: {text}")]
    return [*lines, "", _sentence(comparison)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _sentence(comparison: Comparison) -> str:
    count = len(comparison.regressions)
    if not count:
        return f"no regression by more than {comparison.threshold * 100:g} % is shown"
    return f"{count} regression" + ("" if count == 1 else "s")
