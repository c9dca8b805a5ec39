"""What one model, quantisation or budget made of the tasks: an entry of an evaluation's results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.evals.statistics import Score
from stillhouse.evals.summary import TaskSummary

OPENLLM = tuple(
    f"openllm_{name}" for name in ("arc", "hellaswag", "truthfulqa", "mmlu", "winogrande", "gsm8k")
)
"""What the Open LLM Leaderboard v1 took the average of, each task with the same weight."""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """`label` tells it from the other results; None where a fact isn't known, as of a server."""

    label: str
    model: str
    tasks: Mapping[str, TaskSummary]
    quantization: str | None = None
    engine: str = "stillhouse"
    url: str | None = None
    file_bytes: int | None = None
    bits_per_weight: float | None = None
    thinking_budget: int | None = None  # None: none was set
    duration_s: float | None = None
    output_tokens_per_s: float | None = None

    @property
    def openllm_average(self) -> tuple[float, float] | None:
        """The leaderboard's average and its standard error across questions; None without all six
        tasks, or where one, or a subject of MMLU, has a single question. Of MMLU it took the mean
        over subjects, whatever their sizes."""
        if not all(name in self.tasks for name in OPENLLM):
            return None
        means = [_mean(self._subjects(name) or [self.tasks[name].score]) for name in OPENLLM]
        known = [one for one in means if one is not None]
        if len(known) < len(OPENLLM):
            return None
        values, errors = zip(*known, strict=True)
        return math.fsum(values) / len(values), math.hypot(*errors) / len(errors)

    def _subjects(self, task: str) -> list[Score]:
        return [score for _, score in self.tasks[task].groups.values()]

    def as_json(self) -> dict[str, Any]:
        """The names of `still eval --json`."""
        average = self.openllm_average
        return {
            "label": self.label,
            "model": self.model,
            "quantization": self.quantization,
            "engine": self.engine,
            "url": self.url,
            "file_bytes": self.file_bytes,
            "bits_per_weight": self.bits_per_weight,
            "thinking_budget": self.thinking_budget,
            "duration_s": self.duration_s,
            "output_tokens_per_s": self.output_tokens_per_s,
            "openllm_average": None if average is None else average[0],
            "openllm_average_stderr": None if average is None else average[1],
            "tasks": {name: summary.as_json() for name, summary in self.tasks.items()},
        }


def _mean(scores: Sequence[Score]) -> tuple[float, float] | None:
    """Of scores with the same weight, and its standard error; None where one has none."""
    errors = [one.stderr_questions for one in scores if one.stderr_questions is not None]
    if len(errors) < len(scores):
        return None
    return math.fsum(one.value for one in scores) / len(scores), math.hypot(*errors) / len(scores)
