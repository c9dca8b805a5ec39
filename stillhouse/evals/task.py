"""What is asked, and how: a task, the problems that it makes of its data, where those come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, Any]
"""One line of a data file, as its makers named the fields."""

Asking = Literal["chat", "completion", "choices"]
"""A message through the template; a text to go on from; a text and what may follow, weighed."""

GraderName = Literal["mathematics", "number", "strict_number", "letter", "code", "procedural"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One question, ready to be asked and graded.

    `gold` is what the grader compares with: the right answer, the letter, the index of a choice.
    """

    id: str  # the same for the same row in every run
    prompt: str  # the message, or the text to go on from
    gold: str
    choices: tuple[str, ...] = ()  # that may follow the prompt, for `choices`
    contexts: tuple[str, ...] = ()  # where each choice has a prompt of its own (Winogrande)
    group: str = ""  # as MMLU's subjects: what a task's mean may be taken over
    extra: Mapping[str, Any] | None = None  # what a grader needs beside the gold, as JSON

    @property
    def digest(self) -> str:
        """Of all that is asked and of what is right: data sets give the same ids to others."""
        asked = [self.prompt, self.gold, self.choices, self.contexts]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class HubData:
    """A split of a data set on the hub, of one file or of several, in their order: JSON lines, CSV
    or Parquet."""

    repo: str
    path: str | tuple[str, ...]
    revision: str = "main"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path


@dataclass(frozen=True, slots=True)
class Task:
    """A task. Its name, version and prompt stand beside every score of it.

    `problems(rows, shots, seed)` makes the problems; `shots` are rows of the data that examples are
    taken from, empty where there are none to show.
    """

    name: str
    version: int  # raised when prompt, data or grading change what is scored
    title: str
    source: str  # whose protocol this is, with where it is written
    asking: Asking
    prompt: str  # as it is shown: a `str.format` template, of the last turn
    problems: Callable[[Sequence[Row], Sequence[Row], int], list[Problem]]
    grader: GraderName | None = None  # None for `choices`
    data: HubData | None = None  # None: made here, nothing is fetched
    shots_data: HubData | None = None
    num_shots: int = 0
    metric: Literal["accuracy", "normalised", "mc2"] = "accuracy"  # of `choices`
    chance: float = 0.0  # what guessing scores, from 0 to 1
    max_tokens: int = 32768  # of thought and answer
    stop: tuple[str, ...] = ()  # of `completion`
    samples: int = 1  # by default, as the protocol has it or near enough to afford
    greedy: bool = False  # the protocol samples nothing: temperature 0
