"""The graders' own process: reads one question a line, answers one a line.

    {"prepare": kind}                                   -> {}, or {"missing": module}
    {"kind": "mathematics", "gold", "boxed", "text"}    -> {"right", "extracted", "note"}
    {"kind": "procedural", "gold", "text", "extra"}     -> the same; or {"failed": how}

An order has an "id" beside that, which its reply has too.

It imports what grading needs, which takes seconds, and reads no answer itself: for each it forks a
process that inherits all that, is shut in (see `confinement`), and may be killed at no cost. Where
there is no fork it grades by itself, and whoever asks must kill it when it is late.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from stillhouse.evals.grading import confinement

_MOST_EXTRACTED = 2000  # characters that go back, so that a reply fits in a pipe
# An answer may take this many times its CPU time: others may be computing on this machine.
_PATIENCE = 10.0


def main(memory_bytes: int, cpu_s: float, parent: int) -> None:
    """Until stdin ends, or the process `parent`. What libraries print goes to stderr."""
    confinement.end_with(parent)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        if "prepare" in order:
            reply = _prepare(order["prepare"])
        elif hasattr(os, "fork"):
            reply = _grade_apart(order, memory_bytes, cpu_s)
        else:
            reply = _grade(order)
        replies.write(json.dumps({**reply, "id": order["id"]}) + "\n")
        replies.flush()


def _prepare(kind: str) -> dict[str, Any]:
    try:
        if kind == "mathematics":
            from stillhouse.evals.grading import mathematics

            mathematics.warm()
        else:
            from stillhouse.evals.grading import procedural  # noqa: F401
    except ImportError as error:
        return {"missing": error.name or str(error)}
    return {}


def _grade_apart(order: dict[str, Any], memory_bytes: int, cpu_s: float) -> dict[str, Any]:
    if order["kind"] == "procedural":
        from stillhouse.evals.grading import procedural

        with suppress(Exception):  # it comes again below, and is told
            procedural.made(order["extra"])  # once for all answers to it
    reading, writing = os.pipe()
    worker = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            confinement.end_with(worker)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the orders to come are not its own
            os.closerange(3, writing)
            signal.setitimer(signal.ITIMER_PROF, cpu_s)  # its signal ends the process
            signal.alarm(int(cpu_s * _PATIENCE) + 1)  # if the worker is gone
            confinement.limit(memory_bytes=memory_bytes)
            confinement.shut_in()
            os.write(writing, json.dumps(_grade(order)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    answer = _read(reading, cpu_s * _PATIENCE)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    try:
        reply: dict[str, Any] = json.loads(answer)
    except ValueError:
        is_late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (
            signal.SIGPROF,
            signal.SIGALRM,
            signal.SIGKILL,
        )
        return {"failed": "ran out of time" if is_late else "gave up"}
    return reply


def _read(reading: int, time_limit_s: float) -> bytes:
    """All that comes until the other end is closed, or the time is over."""
    ends_at = time.monotonic() + time_limit_s
    pieces = []
    while select.select([reading], [], [], max(0.0, ends_at - time.monotonic()))[0]:
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        pieces.append(piece)
    os.close(reading)
    return b"".join(pieces)


def _grade(order: dict[str, Any]) -> dict[str, Any]:
    sys.set_int_max_str_digits(0)  # a long number takes time, which is limited, but is no error
    try:
        if order["kind"] == "mathematics":
            from stillhouse.evals.grading import mathematics

            right, taken = mathematics.compare(order["gold"], order["boxed"], order["text"])
            note = None
        else:
            from stillhouse.evals.grading import procedural

            right, note = procedural.score(order["gold"], order["text"], order["extra"])
            taken = order["text"]
    except MemoryError:
        return {"failed": "ran out of memory"}
    except Exception as error:
        return {"failed": f"failed ({type(error).__name__}: {str(error)[:200]})"}
    return {"right": right, "extracted": taken and taken[:_MOST_EXTRACTED], "note": note}
