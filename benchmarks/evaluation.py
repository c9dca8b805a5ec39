"""Runs of `still eval` as results to keep: a document with some of the samples, and short tables.

    still eval A.gguf B.gguf --task gsm8k --data gsm8k_test.jsonl --limit 200 --folder RUN
    python benchmarks/evaluation.py evaluation RUN [RUN ...]
    python benchmarks/evaluation.py evaluation_served RUN OTHER_RUN --baseline "llama.cpp ..."

Writes results/NAME.json, which `make screenshots` draws pages of, and results/NAME.md. The tables
are those of `still eval --with RUN`, without the columns that a page of documentation has no room
for. Times of a run are of the machine that this script runs on too, or the document says wrong.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from stillhouse.cli.document import whole_document, write_whole
from stillhouse.cli.eval_run import beside, earlier_runs
from stillhouse.evals.comparison import Comparison, compare_all
from stillhouse.evals.page_samples import shown_samples
from stillhouse.evals.result import EvalResult
from stillhouse.evals.rows import Table, budget_table, comparison_table, score_table
from stillhouse.evals.runs import Results
from stillhouse.evals.sentences import caption, score_sentence
from stillhouse.hardware import this_machine
from stillhouse.units import format_seconds

_RESULTS = Path(__file__).parent / "results"
_MOST_SAMPLE_BYTES = 400_000  # of a file that everybody clones
_LEFT_OUT = {
    *("questions", "samples", "± sampling", "± questions", "pass@2", "thought tok", "answer tok"),
    *("task", "no answer", "looped"),
}


def main() -> None:
    """Read the runs, and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--baseline", help="a label; the first run's unless told")
    arguments = parser.parse_args()
    found = beside(Results(), earlier_runs(arguments.folders))
    comparisons = compare_all(found.results, arguments.baseline)
    document = whole_document(
        "eval",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=None,
        folder=None,
        results=[result.as_json() for result in found.results],
        comparisons=[one.as_json() for one in comparisons],
        warnings=[f"{label}, {text}" for label, text in found.warnings],
    )
    samples = shown_samples(found.samples, _MOST_SAMPLE_BYTES)
    document |= {"samples": samples, "samples_left_out": len(found.samples) - len(samples)}
    json_path = _RESULTS / f"{arguments.name}.json"
    write_whole(json_path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    machine = this_machine()
    where = f"On {machine.cpu}, {machine.physical_cores} cores, {document['date'][:10]}."
    parts = [where, *_parts(found.results, comparisons)]
    write_whole(json_path.with_suffix(".md"), "\n\n".join(parts) + "\n")


def _parts(results: list[EvalResult], comparisons: list[Comparison]) -> list[str]:
    parts = []
    for task in dict.fromkeys(name for result in results for name in result.tasks):
        having = [result for result in results if task in result.tasks]
        title, prompt, *drawn = caption(having, task)
        has_budgets = len({result.thinking_budget for result in having}) > 1
        table = budget_table(results, task) if has_budgets else score_table(results, task)
        sizes = {(one.tasks[task].questions, one.tasks[task].samples) for one in having}
        shape = " and ".join(f"{questions} questions × {k}" for questions, k in sorted(sizes))
        ways = f"{', '.join(drawn)}." if len(drawn) == 1 else ""
        asked = [f"{title.partition(';')[0]}, {shape}.", _sentence(prompt), _sentence(ways)]
        parts += [" ".join(filter(None, asked))]
        if len(drawn) > 1:
            parts += ["\n".join(f"- {one}" for one in drawn)]
        parts += [_markdown(table)]
        if not has_budgets:
            lines = [
                f"- {one.label}: {score_sentence(one.tasks[task])}{_took(one)}" for one in having
            ]
            parts += ["\n".join(lines)]
    if comparisons:
        parts += [_markdown(comparison_table(comparisons))]
    return parts


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _took(result: EvalResult) -> str:
    if result.duration_s is None or result.output_tokens_per_s is None:
        return ""
    return f"; {format_seconds(result.duration_s)}, {result.output_tokens_per_s:.0f} tok/s"


def _markdown(table: Table) -> str:
    kept = [at for at, heading in enumerate(table.headings) if heading not in _LEFT_OUT]
    rule = ["---:" if at in table.right else "---" for at in range(len(table.headings))]
    rows = [table.headings, rule, *table.rows]
    return "\n".join("| " + " | ".join(row[at] for at in kept) + " |" for row in rows)


if __name__ == "__main__":
    main()
