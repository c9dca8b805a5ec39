"""Published speeds beside what the planner predicts for them, and which of them cannot be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from stillhouse.catalog import (
    Model,
    Speed,
    efficiency_for,
    find_device,
    models,
    published_speeds,
)
from stillhouse.catalog.shapes import Shape
from stillhouse.errors import UsageError
from stillhouse.planner.speed import decode_step_s, step_bytes
from stillhouse.planner.targets import Target, target_of
from stillhouse.planner.weights import Weights, predicted_weights

# Where nobody says how long the context was: a question and the first half of its answer.
_CONTEXT_TOKENS = 512

# The shapes of models that are not in the catalogue and whose speeds are (their config.json).
_OTHER_SHAPES = {
    "LLaMA 2 70B": Shape("llama", 80, 8192, 64, 8, 128, 28672, 32000),
}
# No engine has been seen to read faster than this share of the peak, scales and all.
_MOST_OF_LIMIT = 0.95

_ENGINES = {"Ollama": "Ollama", "vLLM": "vllm"}
# AWQ keeps 4 bits a weight and a scale for 128, as W4A16 does, and a zero point besides: 0.03 bits
# (arXiv:2306.00978).
_SCHEMES = {"AWQ": "W4A16"}


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """One row of the catalogue, with its model's bytes and its device."""

    row: Speed
    weights: Weights
    target: Target
    engine: str
    context_tokens: int = _CONTEXT_TOKENS

    @property
    def device(self) -> str:
        return self.row.device_as_published or self.row.device

    @property
    def model(self) -> str:
        return self.row.model

    @property
    def quantization(self) -> str:
        return self.row.quantization

    @property
    def users(self) -> int:
        return self.row.users

    @property
    def tokens_per_s(self) -> float:
        return self.row.tokens_per_s

    @property
    def prefill_tokens_per_s(self) -> float | None:
        return self.row.prefill_tokens_per_s

    @property
    def kind(self) -> str:
        return self.target.kind

    @property
    def limit_tokens_per_s(self) -> float:
        """If every byte came at the whole bandwidth of all devices that work at once."""
        read = step_bytes(self.weights, self.users, self.context_tokens, "f16")
        devices = self.target.count if self.engine == "vllm" else 1
        return self.users * devices * self.target.read_bytes_per_s / read

    @property
    def is_possible(self) -> bool:
        """Within the memory's bandwidth."""
        return self.tokens_per_s <= self.limit_tokens_per_s

    @property
    def counts(self) -> bool:
        """Whether efficiencies may be fitted to it: measured, and not at the very limit."""
        is_likely = self.tokens_per_s <= _MOST_OF_LIMIT * self.limit_tokens_per_s
        return is_likely and not self.row.is_estimate and self.tokens_per_s > 0


@cache
def published_runs() -> tuple[PublishedRun, ...]:
    """Every published speed whose model's bytes are known."""
    by_name = {model.name: model for model in models()}
    return tuple(run for row in published_speeds() if (run := _run(row, by_name)) is not None)


def predicted_tokens_per_s(run: PublishedRun) -> float:
    """What the planner says of the same."""
    entry = efficiency_for(run.kind, run.engine)
    step_s = decode_step_s(run.weights, run.users, run.context_tokens, run.target, "f16", entry)
    return run.users / step_s


def _run(row: Speed, by_name: dict[str, Model]) -> PublishedRun | None:
    engine = _ENGINES.get(row.tool or "", "llama.cpp")
    target = target_of(find_device(row.device))
    if engine == "vllm":
        target = replace(target, engine="vllm")
    if row.model in by_name:
        try:
            scheme = _SCHEMES.get(row.quantization, row.quantization)
            weights = predicted_weights(by_name[row.model], scheme)
        except UsageError:
            return None
    elif row.model in _OTHER_SHAPES and row.weights_bytes is not None:
        shape = _OTHER_SHAPES[row.model]
        size = row.weights_bytes
        weights = Weights(
            row.model, row.model, row.quantization, shape, {"*": size}, {}, size, row.source
        )
    else:
        return None
    return PublishedRun(row, weights, target, engine)
