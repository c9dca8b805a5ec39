"""Shows what an evaluation found, in every form."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stillhouse.cli.document import write_whole
from stillhouse.cli.table import aligned
from stillhouse.evals.comparison import Comparison
from stillhouse.evals.page import page
from stillhouse.evals.page_samples import shown_samples
from stillhouse.evals.result import EvalResult
from stillhouse.evals.rows import Table, budget_table, comparison_table, group_table, score_table
from stillhouse.evals.runs import Results
from stillhouse.evals.sentences import (
    caption,
    comparison_notes,
    comparison_sentence,
    score_notes,
    score_sentence,
)

_MARKS = re.compile(r"[\\`*<\[]|(?<!\w)_|_(?!\w)")  # an underscore within a word is none
_MOST_SAMPLE_BYTES = 20_000_000  # of a page; browsers open that at once


def report(
    document: dict[str, Any],
    results: Results,
    comparisons: Sequence[Comparison],
    *,
    save: Path | None,
    html: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Files first, then stdout: the tables, or the document."""
    if save is not None:
        write_whole(save, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if html is not None:
        shown = shown_samples(results.samples, _MOST_SAMPLE_BYTES)
        left_out = len(results.samples) - len(shown)
        write_whole(html, page({**document, "samples": shown, "samples_left_out": left_out}))
    parts = _parts(results.results, comparisons)
    warnings = [f"warning: {text}" for text in document["warnings"]]
    if markdown is not None:
        text = "\n\n".join(
            _markdown_table(part) if isinstance(part, Table) else "\n\n".join(map(_literal, part))
            for part in [*parts, warnings]
            if part
        )
        write_whole(markdown, text + "\n")
    if as_json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    if not results.results:
        print("nothing was evaluated")
    text = "\n\n".join(
        "\n".join(_terminal_table(part) if isinstance(part, Table) else part)
        for part in [*parts, warnings]
        if part
    )
    print(text)


def _parts(
    results: Sequence[EvalResult], comparisons: Sequence[Comparison]
) -> list[Table | list[str]]:
    """Tables, and lines between them: task by task, and then what was lost."""
    parts: list[Table | list[str]] = []
    for task in dict.fromkeys(name for result in results for name in result.tasks):
        having = [result for result in results if task in result.tasks]
        parts.append(caption(having, task))
        parts.append(score_table(results, task))
        if len({result.thinking_budget for result in having}) > 1:
            parts.append(budget_table(results, task))
        parts.append([f"{one.label}: {score_sentence(one.tasks[task])}" for one in having])
        if len(having) == 1 and having[0].tasks[task].groups:
            parts.append(group_table(having[0].tasks[task]))
    if comparisons:
        parts.append(comparison_table(comparisons))
        parts.append([comparison_sentence(one) for one in comparisons])
    parts.append([*score_notes(results), *comparison_notes(comparisons)])
    return parts


def _terminal_table(table: Table) -> list[str]:
    return aligned([[text.upper() for text in table.headings], *table.rows], right=table.right)


def _markdown_table(table: Table) -> str:
    rule = ["---:" if at in table.right else "---" for at in range(len(table.headings))]
    rows = [table.headings, rule, *table.rows]
    return "\n".join(
        "| " + " | ".join(_literal(text).replace("|", "\\|") for text in row) + " |" for row in rows
    )


def _literal(text: str) -> str:
    """Text that Markdown shows as it is: a prompt may hold tags, formulas, stars."""
    return _MARKS.sub(lambda found: "&lt;" if found[0] == "<" else f"\\{found[0]}", text)
