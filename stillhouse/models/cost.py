"""What a token costs in bytes and operations, from a model's shape alone.

Sizing the KV cache, planning and benchmarking call these same functions, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from stillhouse.models.config import ModelConfig

KVType = Literal["bf16", "q8_0"]

# Bytes of one number. q8_0 keeps 32 numbers in 34 bytes: an int8 each, and one float16 scale.
KV_BYTES: Mapping[KVType, Fraction] = {"bf16": Fraction(2), "q8_0": Fraction(34, 32)}


def kv_bytes_per_token(config: ModelConfig, kv_type: KVType) -> int:
    """Bytes that the keys and values of one position take in all layers; exact."""
    numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    return int(numbers * KV_BYTES[kv_type])


def layer_weights(config: ModelConfig) -> int:
    """Weights in the linear layers of one decoder layer; norms and biases are not counted."""
    query = config.num_heads * config.head_dim
    key = config.num_kv_heads * config.head_dim
    return config.hidden_size * (2 * query + 2 * key + 3 * config.ffn_size)


def head_weights(config: ModelConfig) -> int:
    """Weights of the output head, which the embedding table lends where the two are tied."""
    return config.vocab_size * config.hidden_size


def operations_per_token(
    config: ModelConfig, context_tokens: int, *, with_logits: bool = True
) -> int:
    """Multiplications and additions for one token that attends to `context_tokens` positions.

    A weight costs two; attention costs two per query number and position for the scores, and two
    more for the weighted sum. In prefill only the last position needs logits.
    """
    weights = config.num_layers * layer_weights(config)
    if with_logits:
        weights += head_weights(config)
    attention = 4 * config.num_layers * config.num_heads * config.head_dim * context_tokens
    return 2 * weights + attention


def weight_bytes_per_token(tensor_bytes: Mapping[str, int], config: ModelConfig) -> int:
    """Bytes of weights read to decode one token, from a checkpoint's tensor sizes.

    All of them, but of an embedding table that is not also the head only one row.
    """
    total = sum(tensor_bytes.values())
    if config.tied_embeddings:
        return total
    embedding = tensor_bytes["token_embd.weight"]
    return total - embedding + embedding // config.vocab_size
