"""One run of a program that a model wrote, in a process of its own: shut in, then run.

What comes first on stdin is for this module: {"program", "call"} as JSON, its length in 8 bytes
before it; the rest is the program's. Where there is a call, {"function", "arguments"}, its result
goes to stdout as JSON, and what the program prints goes nowhere. Expected outputs are never here.
See `confinement` for what the program cannot do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stillhouse.evals.grading import confinement

# LiveCodeBench's runner gives programs these modules, and all names in them, before they start.
_STAR_MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins"),
    "typing",
)
_RECURSION_LIMIT = 50_000
HEAD_BYTES = 8


def main(memory_bytes: int, cpu_s: int, parent: int) -> None:
    """Ends with the process `parent`; with 1 if the program fails, not by how it calls `exit`."""
    confinement.end_with(parent)
    order = json.loads(_exactly(int.from_bytes(_exactly(HEAD_BYTES))))
    call = order["call"]
    del sys.path[0]
    names = _names()
    results = sys.stdout
    if call is not None:
        results = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    # Not sys.path: an editable installation has its checkout there, tests and data included.
    readable = {sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64"}
    with suppress(OSError):  # where memory is short, this ends before the run that asks does
        Path("/proc/self/oom_score_adj").write_text("1000")
    confinement.limit(memory_bytes=memory_bytes, cpu_s=cpu_s)
    confinement.shut_in(sorted(readable))
    # Not with this module's __future__, under which no annotation would be evaluated.
    code = compile(order["program"], "program.py", "exec", dont_inherit=True)
    if call is None:
        with suppress(SystemExit):  # as LiveCodeBench's runner does
            exec(code, names)
    else:
        exec(code, names)
        result = _function(names, call["function"])(*call["arguments"])
        results.write(json.dumps(result, default=_plain))
        results.flush()


def _exactly(num_bytes: int) -> bytes:
    """Of stdin. Nothing more is taken from there: the rest is the program's."""
    taken = bytearray()
    while len(taken) < num_bytes:
        piece = os.read(0, num_bytes - len(taken))
        if not piece:
            raise EOFError
        taken += piece
    return bytes(taken)


def _names() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in _STAR_MODULES:
        exec(f"from {module} import *\nimport {module}", names)
    names["__name__"] = "__main__"
    return names


def _plain(value: Any) -> Any:
    """A scalar of numpy's as Python's own, which it is equal to."""
    if getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError(f"{type(value).__name__} is no result")


def _function(names: dict[str, Any], name: str) -> Callable[..., Any]:
    """LeetCode's is a method of `Solution`."""
    solution = names.get("Solution")
    found: Callable[..., Any] = (
        getattr(solution(), name) if isinstance(solution, type) else names[name]
    )
    return found
