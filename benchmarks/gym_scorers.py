"""Whether reasoning-gym's scorers, as we run them, know right from wrong: every data set it has.

    python benchmarks/gym_scorers.py      # prints what is odd, writes results/gym_scorers.json

Three problems of each: the library's own answer must be right where it gives one, and a text that
answers nothing must be wrong.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reasoning_gym.factory import DATASETS

from stillhouse import __version__
from stillhouse.cli.document import commit
from stillhouse.evals.grading.grader import Graders
from stillhouse.evals.task import Problem
from stillhouse.evals.tasks import task_named

_RESULTS = Path(__file__).parent / "results"
_NONSENSE = "I cannot say"
_PROBLEMS, _SEED = 3, 5


def main() -> None:
    """Grade all, print the odd ones, write all."""
    found = asyncio.run(_all())
    document = {
        "command": "gym_scorers",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "reasoning_gym": version("reasoning-gym"),
        "problems": _PROBLEMS,
        "data_sets": found,
    }
    (_RESULTS / "gym_scorers.json").write_text(json.dumps(document, indent=1) + "\n")
    odd = [one for one in found if one["own_wrong"] or one["nonsense_right"] or one["refused"]]
    for one in odd:
        print(json.dumps(one))
    print(f"{len(found)} data sets, {len(odd)} odd")


async def _all() -> list[dict[str, Any]]:
    async with Graders(workers=2) as graders:
        return [await _one(graders, name) for name in sorted(DATASETS)]


async def _one(graders: Graders, name: str) -> dict[str, Any]:
    result: dict[str, Any] = {"data_set": name, "refused": None, "own_wrong": [], "no_own": 0}
    result["nonsense_right"] = 0
    try:
        rows = [{"index": index} for index in range(_PROBLEMS)]
        problems = task_named(f"gym:{name}").problems(rows, [], _SEED)
    except Exception as error:
        return result | {"refused": str(error)}
    for problem in problems:
        if problem.gold:
            own = await _grade(graders, problem, problem.gold)
            if own["verdict"] != "right":
                result["own_wrong"].append({"gold": problem.gold[:200], **own})
        else:
            result["no_own"] += 1
        other = await _grade(graders, problem, _NONSENSE)
        result["nonsense_right"] += other["verdict"] == "right"
    return result


async def _grade(graders: Graders, problem: Problem, text: str) -> dict[str, Any]:
    grade = await graders.grade("procedural", problem, f"<answer>{text}</answer>")
    return {"verdict": grade.verdict, "note": grade.note}


if __name__ == "__main__":
    main()
