"""Whether the graders see answers as a careful reader does: answers whose verdicts are known.

    python benchmarks/graders.py                    # prints the table, writes results/graders.*
    python benchmarks/graders.py --grader letter

The answers are in tests/evals/grading/fixtures, a line each: what models wrote, or what was made up
to be odd ("origin"), with the verdict that a reader gave it. Beside our graders stands a second
opinion where a library or a protocol has one: math-verify given the whole answer, lm-eval's
`flexible-extract` for numbers, math-verify's letters, reasoning-gym's scorer given what its own
`extract_answer` finds. Code is run in the sandbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from math_verify import LatexExtractionConfig, StringExtractionConfig, parse, verify

from stillhouse import __version__
from stillhouse.cli.document import commit
from stillhouse.evals.grading.grader import Graders
from stillhouse.evals.sample import Grade
from stillhouse.evals.task import GraderName, Problem

FIXTURES = Path(__file__).parents[1] / "tests/evals/grading/fixtures"
_RESULTS = Path(__file__).parent / "results"
_SHOWN = 160  # characters of an answer in the list of disagreements
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")

Row = dict[str, Any]


def main() -> None:
    """Grade all, print the table and where we differ, write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grader", choices=get_args(GraderName), action="append")
    names = parser.parse_args().grader or get_args(GraderName)
    found = {name: asyncio.run(_agreement(name)) for name in names}
    document = {
        "command": "graders",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "graders": found,
    }
    table = markdown(found)
    print(table + disagreements(found))
    (_RESULTS / "graders.json").write_text(
        json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    )
    (_RESULTS / "graders.md").write_text(table)


def rows_of(grader: GraderName) -> list[Row]:
    """The grader's answers with their known verdicts."""
    lines = (FIXTURES / f"{grader}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def problem_of(row: Row, number: int) -> Problem:
    """As the runner would have it."""
    extra: Any = None
    if "choices" in row:
        extra = {"choices": row["choices"]}
    if "task" in row:
        extra = json.loads((FIXTURES / "code_tasks.json").read_text("utf-8"))[row["task"]]
    if "dataset" in row:
        extra = {key: row[key] for key in ("dataset", "seed", "size", "index")}
    return Problem(str(number), "", row["gold"], extra=extra)


async def grades(grader: GraderName, rows: list[Row]) -> list[Grade]:
    """In the order of the rows."""
    async with Graders(run_code=True, workers=2) as graders:
        return await asyncio.gather(
            *(
                graders.grade(grader, problem_of(row, number), row["answer"], row["finish_reason"])
                for number, row in enumerate(rows)
            )
        )


async def _agreement(grader: GraderName) -> dict[str, Any]:
    rows = rows_of(grader)
    given = await grades(grader, rows)
    pairs = list(zip(rows, given, strict=True))
    second = _SECOND.get(grader)
    return {
        "answers": len(rows),
        "by_models": sum(row["origin"] == "model" for row in rows),
        "known": dict(Counter(row["verdict"] for row in rows)),
        "agreeing": sum(row["verdict"] == grade.verdict for row, grade in pairs),
        "agreeing_on_right": _agreeing_on_right(rows, [one.verdict == "right" for one in given]),
        "second_opinion_on_right": second and _agreeing_on_right(rows, [*map(second, rows)]),
        "disagreements": [
            {
                "origin": row["origin"],
                "gold": row["gold"][:_SHOWN],
                "answer": row["answer"][-_SHOWN:],
                "known": row["verdict"],
                "given": grade.verdict,
                "extracted": grade.extracted and grade.extracted[:_SHOWN],
                "note": grade.note,
            }
            for row, grade in pairs
            if row["verdict"] != grade.verdict
        ],
    }


def _agreeing_on_right(rows: list[Row], right: list[bool]) -> int:
    return sum((row["verdict"] == "right") == one for row, one in zip(rows, right, strict=True))


def _whole_by_math_verify(row: Row) -> bool:
    gold = parse(f"${row['gold']}$", [LatexExtractionConfig()])
    return bool(verify(gold, parse(row["answer"])))


def _flexible_of_lm_eval(row: Row) -> bool:
    found = _FLEXIBLE.findall(row["answer"])
    last = next((group for group in found[-1] if group), "") if found else "[invalid]"
    return _lm_eval_number(last) == _lm_eval_number(row["gold"])


def _lm_eval_number(text: str) -> str:
    for ignored in (r",", r"\$", r"(?s).*#### ", r"\.$"):
        text = re.sub(ignored, "", text)
    return text.lower()


def _letters_of_math_verify(row: Row) -> bool:
    config = StringExtractionConfig(strings=("A", "B", "C", "D"), lowercase=False)
    return row["gold"] in parse(row["answer"], [config])


def _whole_by_reasoning_gym(row: Row) -> bool:
    import reasoning_gym
    from reasoning_gym.utils import extract_answer

    from stillhouse.evals.grading.procedural import disarmed

    maker = reasoning_gym.create_dataset(row["dataset"], seed=row["seed"], size=row["size"])
    answer = extract_answer(row["answer"])
    # Some fail where they cannot read the answer; none may compute what it says.
    with suppress(Exception), disarmed():
        return bool(maker.score_answer(answer=answer, entry=maker[row["index"]]) == 1.0)
    return False


_SECOND: dict[GraderName, Callable[[Row], bool]] = {
    "mathematics": _whole_by_math_verify,
    "number": _flexible_of_lm_eval,
    "letter": _letters_of_math_verify,
    "procedural": _whole_by_reasoning_gym,
}


def markdown(graders: dict[str, Any]) -> str:
    """A line for each grader; `disagreements` has the rest, which the JSON keeps too."""
    lines = [
        "| grader | answers (by models) | right / wrong / none | same verdict"
        " | right or not: same | second opinion |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in graders.items():
        total, known = found["answers"], found["known"]
        none = sum(known.get(verdict, 0) for verdict in ("no_answer", "truncated", "looped"))
        second = found["second_opinion_on_right"]
        lines.append(
            f"| `{name}` | {total} ({found['by_models']})"
            f" | {known.get('right', 0)} / {known.get('wrong', 0)} / {none}"
            f" | {found['agreeing'] / total:.1%} | {found['agreeing_on_right'] / total:.1%}"
            f" | {'' if second is None else f'{second / total:.1%}'} |"
        )
    return "\n".join(lines) + "\n"


def disagreements(graders: dict[str, Any]) -> str:
    """Where a grader and the reader differ, to be read."""
    lines = []
    for name, found in graders.items():
        if found["disagreements"]:
            lines += ["", f"Where `{name}` and the reader differ:", ""]
            lines += [_disagreement(one) for one in found["disagreements"]]
    return "\n".join(lines) + "\n"


def _disagreement(one: dict[str, Any]) -> str:
    answer = " ".join(one["answer"].split()).replace("`", "'")
    note = f" ({one['note']})" if one["note"] else ""
    return (
        f"- known {one['known']}, given {one['given']}{note}: gold `{one['gold']}`,"
        f" taken `{one['extracted']}`, from `...{answer}` ({one['origin']})"
    )


if __name__ == "__main__":
    main()
