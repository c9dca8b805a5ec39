"""One layer of a decoder in float32, as numpy computes it: what calibration carries from layer to
layer. Weights have the folder's order of rows, so rope turns number i with number i + dim / 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from stillhouse.models.config import ModelConfig

Floats = npt.NDArray[np.float32]


def normed(x: Floats, weight: Floats, eps: float) -> Floats:
    """Root-mean-square norm over the last axis."""
    squares = np.einsum("...i,...i->...", x, x)[..., np.newaxis] / np.float32(x.shape[-1])
    return np.asarray(x / np.sqrt(squares + np.float32(eps)) * weight, np.float32)


def multiplied(x: Floats, layer: Mapping[str, Floats], name: str) -> Floats:
    """x Wᵀ, and the bias where there is one."""
    y = x @ layer[f"{name}.weight"].T
    bias = layer.get(f"{name}.bias")
    return y if bias is None else y + bias


def attended(
    x: Floats, layer: Mapping[str, Floats], config: ModelConfig, cosines: Floats, sines: Floats
) -> Floats:
    """What attention hands to its output matrix: normed (samples, tokens, hidden) to (samples,
    tokens, heads * head_dim). ``cosines``, ``sines``: (tokens, head_dim / 2).
    """
    queries = _heads(x, layer, "attn_q", config, cosines, sines)
    keys = _heads(x, layer, "attn_k", config, cosines, sines)
    samples, tokens = x.shape[:2]
    values = multiplied(x, layer, "attn_v").reshape(samples, tokens, -1, config.head_dim)
    shared = config.num_heads // config.num_kv_heads
    out = np.empty((samples, tokens, config.num_heads, config.head_dim), np.float32)
    future = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
    for sample in range(samples):
        for head in range(config.num_heads):
            key = keys[sample, :, head // shared]
            scores = queries[sample, :, head] @ key.T
            scores *= np.float32(config.head_dim**-0.5)
            scores += future
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            total = scores.sum(axis=1, keepdims=True)
            out[sample, :, head] = scores @ values[sample, :, head // shared] / total
    return out.reshape(samples, tokens, -1)


def gated(x: Floats, layer: Mapping[str, Floats]) -> Floats:
    """What the feed-forward part hands to its last matrix: silu(gate) * up."""
    gate = multiplied(x, layer, "ffn_gate")
    with np.errstate(over="ignore"):  # exp of a large number: the quotient is 0, as it should be
        gate /= 1 + np.exp(-gate)
    gate *= multiplied(x, layer, "ffn_up")
    return gate


def _heads(
    x: Floats,
    layer: Mapping[str, Floats],
    name: str,
    config: ModelConfig,
    cosines: Floats,
    sines: Floats,
) -> Floats:
    """Queries or keys (samples, tokens, heads, head_dim): normed where the model has a norm, and
    turned.
    """
    heads = multiplied(x, layer, name).reshape(*x.shape[:2], -1, config.head_dim)
    if f"{name}_norm.weight" in layer:
        heads = normed(heads, layer[f"{name}_norm.weight"], config.rms_eps)
    half = config.head_dim // 2
    first, second = heads[..., :half], heads[..., half:]
    cos, sin = cosines[:, np.newaxis], sines[:, np.newaxis]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
