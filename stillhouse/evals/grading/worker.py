"""The graders' own process: reads one question a line, answers one a line, and may be killed.

    {"prepare": "mathematics"}                                  -> {} or {"missing": module}
    {"kind": "mathematics", "gold", "boxed", "text"}            -> {"right", "extracted", "note"}
    {"kind": "procedural", "gold", "text", "extra"}             -> the same

Once prepared it is shut in: see `confinement`. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from typing import Any

from stillhouse.evals.grading import confinement

_MOST_EXTRACTED = 2000  # characters that go back, so that a line stays a line


def main(memory_bytes: int, time_limit_s: float) -> None:
    """Until stdin ends. The alarm ends this process if the one that asks has died before."""
    sys.set_int_max_str_digits(0)  # a long number takes time, which is limited, but is no error
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        if "prepare" in order:
            reply = _prepare(order["prepare"], memory_bytes)
        else:
            _alarm(time_limit_s)
            reply = _grade(order)
            _alarm(0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _prepare(kind: str, memory_bytes: int) -> dict[str, Any]:
    try:
        if kind == "mathematics":
            from stillhouse.evals.grading import mathematics  # noqa: F401
        else:
            from stillhouse.evals.grading import procedural  # noqa: F401
    except ImportError as error:
        return {"missing": error.name or str(error)}
    confinement.limit(memory_bytes=memory_bytes)
    confinement.shut_in()
    return {}


def _grade(order: dict[str, Any]) -> dict[str, Any]:
    try:
        if order["kind"] == "mathematics":
            from stillhouse.evals.grading import mathematics

            right, taken = mathematics.compare(order["gold"], order["boxed"], order["text"])
            note = None
        else:
            from stillhouse.evals.grading import procedural

            right, note = procedural.score(order["gold"], order["text"], order["extra"])
            taken = order["text"]
    except (Exception, RecursionError) as error:
        kind = type(error).__name__
        return {"right": False, "extracted": None, "note": f"the grader failed: {kind}"}
    return {"right": right, "extracted": taken and taken[:_MOST_EXTRACTED], "note": note}


def _alarm(seconds: float) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(0 if not seconds else math.ceil(seconds) + 1)
