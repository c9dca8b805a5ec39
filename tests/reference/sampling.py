"""The sampling rule, written to be read: full softmax, full sort, float64, no shortcuts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine import SamplingParams


def distribution(
    logits: NDArray[np.float32],
    *,
    temperature: float,
    min_p: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> dict[int, float]:
    """Token id → probability of being drawn; absent ids are never drawn."""
    maximum = max(logits.tolist())
    scaled = [(x - maximum) / temperature for x in logits.tolist()]
    kept = {i: math.exp(x) for i, x in enumerate(scaled) if x >= -25}
    kept = {i: p for i, p in kept.items() if p >= min_p}
    by_rank = sorted(kept, key=lambda i: (-logits[i], i))
    if top_k:
        by_rank = by_rank[:top_k]
    if top_p < 1:
        total = sum(kept[i] for i in by_rank)
        mass, nucleus = 0.0, []
        for i in by_rank:
            nucleus.append(i)
            mass += kept[i]
            if mass >= top_p * total:
                break
        by_rank = nucleus
    total = sum(kept[i] for i in by_rank)
    return {i: kept[i] / total for i in sorted(by_rank)}


def draw(probabilities: dict[int, float], uniform: float) -> int:
    """Walks the tokens in order of id until `uniform` of the mass has passed."""
    mass = 0.0
    for token_id, probability in probabilities.items():
        mass += probability
        if uniform < mass:
            return token_id
    return token_id


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities over the last axis, in float64."""
    x = logits.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def penalised(
    logits: NDArray[np.float32], params: SamplingParams, prompt: list[int], said: list[int]
) -> list[float]:
    """Logits after repeat, presence and frequency penalties and biases, one token at a time."""
    bias = dict(params.logit_bias)
    changed = []
    for token_id, logit in enumerate(logits.tolist()):
        if token_id in [*prompt, *said][-64:]:
            logit = logit / params.repeat_penalty if logit > 0 else logit * params.repeat_penalty
        if token_id in said:
            logit -= params.presence_penalty
        logit -= params.frequency_penalty * said.count(token_id)
        changed.append(logit + bias.get(token_id, 0.0))
    return changed
