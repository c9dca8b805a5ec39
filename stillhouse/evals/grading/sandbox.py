"""One run of a program that a model wrote, in a process of its own: shut in, then run.

The folder at hand holds `program.py`, and `call.json` where a function is called instead:
{"function", "arguments"}. Its result goes to stdout as JSON; what the program prints then goes
nowhere. Expected outputs are never here. See `confinement` for what the program cannot do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
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


def main(memory_bytes: int, cpu_s: int) -> None:
    """Ends as the program ends; with 1 if it fails."""
    source = Path("program.py").read_text("utf-8", "surrogatepass")
    call_file = Path("call.json")
    call = json.loads(call_file.read_text("utf-8")) if call_file.exists() else None
    del sys.path[0]
    names = _names()
    results = sys.stdout
    if call is not None:
        results = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    # Not sys.path: an editable installation has its checkout there, tests and data included.
    readable = {sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64"}
    confinement.limit(memory_bytes=memory_bytes, cpu_s=cpu_s)
    confinement.shut_in(sorted(readable))
    exec(compile(source, "program.py", "exec"), names)
    if call is not None:
        result = _function(names, call["function"])(*call["arguments"])
        results.write(json.dumps(result))
        results.flush()


def _names() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in _STAR_MODULES:
        exec(f"from {module} import *\nimport {module}", names)
    names["__name__"] = "__main__"
    return names


def _function(names: dict[str, Any], name: str) -> Callable[..., Any]:
    """LeetCode's is a method of `Solution`."""
    solution = names.get("Solution")
    found: Callable[..., Any] = (
        getattr(solution(), name) if isinstance(solution, type) else names[name]
    )
    return found
