"""reasoning-gym's problems, made in a process like the one that grades.

Some of its data sets walk through a set of strings, whose order changes from one Python process to
the next: the same seed would make one problem here, another where it is graded, and a third when
the run goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from stillhouse.errors import StillhouseError
from stillhouse.evals.grading.process import command, environment

_TIME_LIMIT_S = 900.0  # a thousand of the slowest take a minute or two


class Entry(NamedTuple):
    """A problem. Where many answers are right, reasoning-gym may give none."""

    question: str
    answer: str | None


def question_hash(question: str) -> str:
    """By which a question is known again."""
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def entries(dataset: str, seed: int, size: int, indices: Sequence[int]) -> list[Entry]:
    """Those at `indices` of the `size` that a seed makes. Raises StillhouseError if it fails."""
    order = json.dumps([dataset, seed, size, list(indices)])
    try:
        done = subprocess.run(
            command("entries"),
            input=order.encode(),
            capture_output=True,
            env=environment(),
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StillhouseError(
            f"reasoning-gym has made no problems of {dataset!r} in {_TIME_LIMIT_S:.0f} s"
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it says nothing")
        raise StillhouseError(f"reasoning-gym makes no problems of {dataset!r}: {last.strip()}")
    return [Entry(*pair) for pair in json.loads(done.stdout)]


def main() -> None:
    """One order on stdin, its entries on stdout; what the library prints goes to stderr."""
    result = os.dup(1)
    os.dup2(2, 1)
    import reasoning_gym

    dataset, seed, size, indices = json.load(sys.stdin)
    maker = reasoning_gym.create_dataset(dataset, seed=seed, size=size)
    made = []
    for index in indices:
        entry = maker[index]
        answer = entry["answer"]
        made.append((entry["question"], None if answer is None else str(answer)))
    with os.fdopen(result, "w", encoding="utf-8") as replies:
        json.dump(made, replies)
