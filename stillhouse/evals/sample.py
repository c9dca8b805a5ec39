"""One sample: what was asked, what came, how it was graded. A line of a run's file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["right", "wrong", "no_answer", "truncated", "looped"]
"""The last three have no answer to grade: the model gave none, was cut off in its thought (or
before any answer) by a limit of tokens, or went in circles until it was stopped."""


@dataclass(frozen=True, slots=True)
class Grade:
    """`extracted` is what was taken for the answer, None where there is none; `note` is what a
    reader should know, as that the grader ran out of time."""

    verdict: Verdict
    extracted: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Holds nothing that differs between two runs with the same seeds: times are kept apart.

    For `choices`, `answer` is the chosen text, and `loglikelihoods` has one a choice, in nats;
    `score` is then what the metric gives (mc2 is between 0 and 1), else 1 for right, 0 otherwise.
    """

    task: str
    problem: str
    number: int  # of the problem's samples, from 0
    seed: int | None
    verdict: Verdict
    score: float
    extracted: str | None
    note: str | None
    reasoning: str
    answer: str
    finish_reason: str
    thinking_end: str
    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    group: str = ""
    loglikelihoods: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        return self.task, self.problem, self.number

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
