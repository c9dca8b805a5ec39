"""What one model, quantisation or budget made of the tasks: an entry of an evaluation's results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        tasks, or where one has a single question."""
        if not all(name in self.tasks for name in OPENLLM):
            return None
        scores = [self.tasks[name].score for name in OPENLLM]
        errors = [one.stderr_questions for one in scores if one.stderr_questions is not None]
        if len(errors) < len(scores):
            return None
        value = math.fsum(one.value for one in scores) / len(scores)
        return value, math.hypot(*errors) / len(scores)

    def as_json(self) -> dict[str, Any]:
        """The names of `still eval --json`."""
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
            "tasks": {name: summary.as_json() for name, summary in self.tasks.items()},
        }
