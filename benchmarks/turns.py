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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """Prompts that come together, a user each; every one is to be continued by `output_tokens`,
    greedily and past any end token.
    """

    prompts: list[list[int]]
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """When tokens came, and what they were.

    `times_s`: for each user, when each token came, in seconds since the prompts did. `answers`: for
    each user the tokens' ids, or their text from an engine that gives no ids.
    """

    times_s: list[list[float]]
    answers: list[list[int] | str]

    @property
    def ttft_s(self) -> float:
        """Time to the first token, the median user's."""
        return median(times[0] for times in self.times_s)

    @property
    def prefill_s(self) -> float:
        """Until every user has a token."""
        return max(times[0] for times in self.times_s)

    @property
    def decode_tokens_per_s(self) -> float:
        """Of all users together, while all of them write: from when the last one began until the
        first one ended. Engines that read prompts in pieces begin some users before others.
        """
        start_s, end_s = self.prefill_s, min(times[-1] for times in self.times_s)
        tokens = sum(start_s < time_s <= end_s for times in self.times_s for time_s in times)
        if not tokens:
            raise SystemExit("some users had ended before others began: write more tokens")
        return tokens / (end_s - start_s)


class Worker:
    """The orchestrator's end of a worker process.

    `about` is what it says of itself: `engine`, `version`, `build`, and whatever more is worth
    keeping with its figures.
    """

    def __init__(
        self, python: str | Path, script: Path, *arguments: str, environment: Mapping[str, str] = {}
    ) -> None:
        self._process = subprocess.Popen(
            [str(python), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.about: dict[str, Any] = self._receive()

    def ask(self, task: Task) -> Turn:
        """Have the worker do one task; returns when it is done."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died, which `_receive` tells
            self._process.stdin.write(json.dumps(asdict(task)) + "\n")
            self._process.stdin.flush()
        turn = Turn(**self._receive())
        assert [len(times) for times in turn.times_s] == [task.output_tokens] * len(task.prompts)
        return turn

    def close(self) -> None:
        """End the worker: its stdin closes, and it leaves."""
        self._process.communicate()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise SystemExit(
                f"a worker ended with {self._process.returncode}: {self._process.args!r}"
            )
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
