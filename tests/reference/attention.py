"""Norm, rotary embedding and attention with grouped queries, written to be read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.models.config import RopeConfig

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]


def rms_norm(x: Floats, weight: Floats, eps: float) -> Doubles:
    """x / sqrt(mean(x^2) + eps) * weight, over the last axis."""
    x = x.astype(np.float64)
    return np.asarray(x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight)


def silu(z: Doubles) -> Doubles:
    return z / (1 + np.exp(-z))


def angle(rope: RopeConfig, pair: int, divisors: Floats | None = None) -> float:
    """Radians by which a pair turns from one position to the next."""
    theta = rope.base ** (-2 * pair / rope.dim)
    if divisors is not None:
        theta /= float(divisors[pair])
    if rope.scaling == "linear":
        return theta / rope.factor
    if rope.scaling == "yarn":
        first = max(0, math.floor(_pair_that_turns(rope, rope.beta_fast)))
        last = min(rope.dim - 1, math.ceil(_pair_that_turns(rope, rope.beta_slow)))
        slowed = min(1.0, max(0.0, (pair - first) / max(last - first, 0.001)))
        return slowed * theta / rope.factor + (1 - slowed) * theta
    return theta


def magnitude(rope: RopeConfig) -> float:
    """What cosines and sines are multiplied by."""
    if rope.scaling == "yarn":
        return rope.attention_factor * (1 + 0.1 * math.log(rope.factor))
    return 1.0


def _pair_that_turns(rope: RopeConfig, turns: float) -> float:
    """The pair, as a fraction, that makes so many full turns within the original context."""
    period = rope.original_context / turns  # in positions
    return rope.dim * math.log(period / (2 * math.pi)) / (2 * math.log(rope.base))


def rotate(x: Floats, position: int, rope: RopeConfig, divisors: Floats | None = None) -> Doubles:
    """Turn each pair of a head (head_dim,): i with i + dim / 2, or 2i with 2i + 1."""
    out = x.astype(np.float64)
    for pair in range(rope.dim // 2):
        if rope.kind == "half":
            i, j = pair, pair + rope.dim // 2
        else:
            i, j = 2 * pair, 2 * pair + 1
        turn = position * angle(rope, pair, divisors)
        cosine, sine = math.cos(turn) * magnitude(rope), math.sin(turn) * magnitude(rope)
        out[i], out[j] = x[i] * cosine - x[j] * sine, x[j] * cosine + x[i] * sine
    return out


def attend(query: Floats, keys: Floats, values: Floats, scale: float) -> Doubles:
    """One head's output (head_dim,) over a context of keys and values (tokens, head_dim)."""
    scores = keys.astype(np.float64) @ query.astype(np.float64) * scale
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum() @ values.astype(np.float64))
