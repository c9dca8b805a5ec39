"""Engines that take turns in one run, each in a process of its own.

A worker loads its model once, prints one line about itself, then answers each line of stdin, a
`Task`, with one line, a `Turn`. Workers that wait do nothing, so the one at work has the machine.
Standard library alone, because a peer's worker runs in the peer's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """Read this prompt, then write `output_tokens` greedily, past any end token."""

    prompt_ids: list[int]
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """`prefill_s` ends with the first output token; `decode_s` is the time of all the others."""

    prompt_tokens: int
    output_tokens: int
    prefill_s: float
    decode_s: float

    @property
    def prefill_tokens_per_s(self) -> float:
        return self.prompt_tokens / self.prefill_s

    @property
    def decode_tokens_per_s(self) -> float:
        return (self.output_tokens - 1) / self.decode_s


class Worker:
    """The orchestrator's end of a worker process."""

    def __init__(self, python: str, script: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [python, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about: dict[str, Any] = self._receive()

    def ask(self, task: Task) -> Turn:
        """Have the worker do one task; returns when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        return Turn(**self._receive())

    def close(self) -> None:
        """End the worker: its stdin closes, and it leaves."""
        self._process.communicate()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with {self._process.wait()}: {self._process.args!r}")
        return json.loads(line)


def serve_turns(load: Callable[[], tuple[dict[str, Any], Callable[[Task], Turn]]]) -> None:
    """The worker's end: `load` gives what it says of itself, and the function that does a task."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print to stdout belongs with the logs
    about, work = load()
    _send(answers, about)
    for line in sys.stdin:
        _send(answers, asdict(work(Task(**json.loads(line)))))


def _send(stream: Any, document: dict[str, Any]) -> None:
    stream.write(json.dumps(document) + "\n")
    stream.flush()
