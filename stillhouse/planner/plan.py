"""Every model that could run on a system, ranked, with one recommendation and its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stillhouse.catalog import Model, models
from stillhouse.errors import UsageError
from stillhouse.models.cost import PlannedKVType
from stillhouse.planner.placement import Placement, Verdict, place
from stillhouse.planner.price import USD_PER_KWH, Price, price_of
from stillhouse.planner.quality import Quality, quality_of
from stillhouse.planner.speed import Speed, speed
from stillhouse.planner.targets import Engine, Target
from stillhouse.planner.weights import (
    Weights,
    folder_quantizations,
    folder_repo,
    gguf_repo,
    predicted_weights,
    quantizations_of,
)
from stillhouse.planner.workload import Workload

Goal = Literal["quality", "speed", "cost"]

LADDER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K", "IQ2_XXS")
"""What is weighed where nobody names a quantisation, if it is published; and dynamic ones."""
# Architectures of `models/config.py`, which this project's own engine computes.
_OWN = ("llama", "qwen2", "qwen3")
_VERDICTS: tuple[Verdict, ...] = ("fits", "marginal", "does_not_fit")
# A difference in the expected score that no user could tell from chance on 30 questions.
_SAME_SCORE = 2.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the plan is for. `least_tokens_per_s`: for each user; slower is not recommended."""

    goal: Goal = "quality"
    least_tokens_per_s: float = 5.0
    kv_type: PlannedKVType = "bf16"
    usd_per_kwh: float = USD_PER_KWH


@dataclass(frozen=True, slots=True)
class Option:
    """One model in one quantisation on one system."""

    model: Model
    weights: Weights
    target: Target
    workload: Workload
    kv_type: PlannedKVType
    placement: Placement
    speed: Speed | None  # None where it does not fit
    quality: Quality
    price: Price | None

    @property
    def verdict(self) -> Verdict:
        return self.placement.verdict

    @property
    def user_tokens_per_s(self) -> float:
        """What one user sees; 0 where it does not fit."""
        return 0.0 if self.speed is None else self.speed.decode_tokens_per_s / self.workload.users

    @property
    def command(self) -> str:
        """What runs it as it was planned."""
        context = f"--context {self.workload.context_tokens}"
        if self.target.engine == "stillhouse":
            kv = "" if self.kv_type == "bf16" else f" --kv-type {self.kv_type}"
            if self.workload.users > 1:
                users = f" --users {self.workload.users}"
                return f"still serve {self.weights.model} {context}{users}{kv}"
            return f"still run {self.weights.model} {context}{kv}"
        if self.target.engine == "vllm":
            devices = (
                f" --tensor-parallel-size {self.target.count}" if self.target.count > 1 else ""
            )
            return (
                f"vllm serve {folder_repo(self.model, self.weights.quantization)}"
                f" --max-model-len {self.workload.context_tokens}{devices}"
            )
        total = self.workload.users * self.workload.context_tokens
        kv = "" if self.kv_type in ("bf16", "f16") else f" -ctk {self.kv_type} -ctv {self.kv_type}"
        flags = self.placement.flags or "-ngl 99"
        model = gguf_repo(self.model, self.weights.quantization)
        return f"llama-server -hf {model} -c {total} -np {self.workload.users} {flags}{kv}"

    def as_json(self) -> dict[str, Any]:
        """The names of the command line's documents."""
        document: dict[str, Any] = {
            "device": self.target.name,
            "model": self.model.name,
            "title": self.model.title,
            "quantization": self.weights.quantization,
            "engine": self.target.engine,
            "kv_type": self.kv_type,
            "verdict": self.verdict,
            "reason": self.placement.reason,
            "memory": self.placement.tree.as_json(),
            "file_bytes": self.weights.file_bytes,
            "weights_source": self.weights.source,
            "quality": self.quality.as_json(),
            "command": self.command,
        }
        if self.speed is not None:
            document |= {
                "decode_tokens_per_s": round(self.speed.decode_tokens_per_s, 3),
                "prefill_tokens_per_s": round(self.speed.prefill_tokens_per_s, 2),
                "limit_tokens_per_s": round(self.speed.limit_tokens_per_s, 3),
                "speed": list(self.speed.how),
                "ttft_s": round(self.speed.ttft_s, 4),
                "time_to_answer_s": round(self.speed.time_to_answer_s, 3),
                "thinking_tax_s": round(self.speed.thinking_tax_s, 3),
            }
        if self.price is not None:
            document["cost"] = self.price.as_json()
        return document


def plan(
    target: Target,
    workload: Workload,
    wish: Wish,
    *,
    only: Model | None = None,
    quantizations: Sequence[str] | None = None,
) -> list[Option]:
    """Every option, the best first. Without `only`, the reasoning models of the catalogue.

    Raises UsageError for a quantisation that `only` is not published in.
    """
    chosen = [m for m in models() if m.reasoning] if only is None else [only]
    options: list[Option] = []
    for model in chosen:
        names = quantizations or _usual(model, target, every=only is not None)
        options += [_option(model, name, target, workload, wish) for name in names]
    return ranked(options, wish)


def ranked(options: Iterable[Option], wish: Wish) -> list[Option]:
    """What can be recommended first, by the goal; what does not fit last, the smallest first."""

    def key(option: Option) -> tuple[float, ...]:
        slow = option.user_tokens_per_s < wish.least_tokens_per_s
        verdict = _VERDICTS.index(option.verdict)
        if option.verdict == "does_not_fit":
            return (2, float(option.weights.file_bytes))
        group = 1.0 if slow or option.verdict == "marginal" else 0.0
        score = -(option.quality.rank // _SAME_SCORE)
        fast = -option.user_tokens_per_s
        if wish.goal == "speed":
            return (group, verdict, fast, score)
        if wish.goal == "cost":
            cost = option.price.least_usd if option.price else None
            return (group, verdict, _per_correct(cost, option.quality), score)
        return (group, verdict, score, fast)

    return sorted(options, key=key)


def recommended(options: Sequence[Option], wish: Wish) -> Option | None:
    """The first that fits and is fast enough; else the fastest that fits at all."""
    for option in options:
        if option.verdict == "fits" and option.user_tokens_per_s >= wish.least_tokens_per_s:
            return option
    running = [option for option in options if option.verdict != "does_not_fit"]
    return max(running, key=lambda option: option.user_tokens_per_s, default=None)


def why(option: Option, options: Sequence[Option], wish: Wish) -> str:
    """The reason for a recommendation, in a sentence."""
    pace = f"{option.user_tokens_per_s:.3g} tok/s"
    if option.user_tokens_per_s < wish.least_tokens_per_s:
        return (
            f"nothing that fits reaches {wish.least_tokens_per_s:g} tok/s; this is the fastest,"
            f" with {pace}"
        )
    if wish.goal == "speed":
        return f"the fastest that fits: {pace}"
    if wish.goal == "cost":
        return "the least money for a correct answer of what fits and is fast enough"
    score = option.quality.aime_2024
    if score is None:
        return f"it fits with {pace}; no score of it is published"
    tail = ""
    better = [
        other
        for other in options
        if other.quality.rank > option.quality.rank + _SAME_SCORE and other.speed is not None
    ]
    if better:
        other = max(better, key=lambda one: one.quality.rank)
        tail = f"; {other.model.title} {other.weights.quantization} would score more, at"
        tail += f" {other.user_tokens_per_s:.3g} tok/s ({other.verdict.replace('_', ' ')})"
    return (
        f"the best expected score (AIME 2024: {score:.0f} %) of what fits and writes at least"
        f" {wish.least_tokens_per_s:g} tok/s: {pace}{tail}"
    )


def with_more_memory(target: Target, more_bytes: int) -> Target:
    """The same system with so much more memory on each device."""
    return replace(target, memory_bytes=target.memory_bytes + more_bytes)


def engine_for(target: Target, weights: Weights) -> Engine:
    """What runs these weights there."""
    if weights.is_folder:
        return "vllm"
    if target.is_processor:
        return "stillhouse" if weights.shape.architecture in _OWN else "llama.cpp"
    return "llama.cpp"


def _usual(model: Model, target: Target, *, every: bool) -> list[str]:
    names = list(quantizations_of(model, None if every else LADDER))
    if not target.is_processor and target.kind != "apple" and model.shape.latent is None:
        names += folder_quantizations(model)
    return names


def _option(
    model: Model, quantization: str, target: Target, workload: Workload, wish: Wish
) -> Option:
    weights = predicted_weights(model, quantization)
    there = replace(target, engine=engine_for(target, weights))
    kv_type = wish.kv_type
    if kv_type == "bf16" and there.engine == "llama.cpp":
        kv_type = "f16"
    if kv_type == "q4_0" and there.engine == "stillhouse":
        raise UsageError(
            "this engine's KV cache holds bf16 or q8_0, not q4_0",
            hint="--kv-type q8_0, or --device for a system that runs another engine",
        )
    if workload.context_tokens > model.context_tokens:
        raise UsageError(
            f"a context of {workload.context_tokens} tokens is asked for, and {model.title} has"
            f" {model.context_tokens}"
        )
    placement = place(weights, workload, there, kv_type)
    quality = quality_of(model, weights.quantization)
    if placement.verdict == "does_not_fit":
        return Option(model, weights, there, workload, kv_type, placement, None, quality, None)
    pace = speed(weights, workload, there, kv_type, ram_share=placement.ram_share)
    price = price_of(pace, workload, there, wish.usd_per_kwh)
    return Option(model, weights, there, workload, kv_type, placement, pace, quality, price)


def _per_correct(usd: float | None, quality: Quality) -> float:
    if usd is None or quality.rank <= 0:
        return float("inf")
    return usd / quality.rank
