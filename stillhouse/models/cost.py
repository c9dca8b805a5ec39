"""What a token costs in bytes and operations, from a model's shape alone.

Sizing the KV cache, planning and benchmarking call these same functions, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from stillhouse.catalog.shapes import LatentAttention, Shape
from stillhouse.models.tensors import is_expert_layer

KVType = Literal["bf16", "q8_0"]
"""What the engine's own cache holds."""

PlannedKVType = Literal["bf16", "f16", "q8_0", "q4_0"]
"""What some engine's cache holds."""

# Bytes of one number. q8_0 keeps 32 numbers in 34 bytes, an int8 each and one float16 scale; q4_0
# in 18, half a byte each.
KV_BYTES: Mapping[PlannedKVType, Fraction] = {
    "bf16": Fraction(2),
    "f16": Fraction(2),
    "q8_0": Fraction(34, 32),
    "q4_0": Fraction(18, 32),
}


def kv_bytes_per_token(shape: Shape, kv_type: PlannedKVType) -> int:
    """Bytes that one position takes in all layers; exact.

    Keys and values of every KV head; of latent attention the latent and the rope part of the key,
    once for all heads and with no value beside them.
    """
    if shape.latent is not None:
        numbers = shape.latent.kv_rank + shape.latent.rope_dim
    else:
        numbers = 2 * shape.num_kv_heads * shape.head_dim
    return _kv_bytes(shape, numbers, kv_type)


def expanded_kv_bytes_per_token(shape: Shape, kv_type: PlannedKVType) -> int:
    """The same where an engine keeps the keys and values of all heads that the latent stands for.

    llama.cpp did so before April 2025: 71 times as much for the 671B.
    """
    if shape.latent is None:
        return kv_bytes_per_token(shape, kv_type)
    latent = shape.latent
    numbers = shape.num_heads * (latent.plain_dim + latent.rope_dim + latent.value_dim)
    return _kv_bytes(shape, numbers, kv_type)


def body_weights(shape: Shape) -> int:
    """Weights in the linear layers that one token goes through, the head apart.

    Of a mixture of experts those are the router, the shared experts and the ones that are used.
    Norms and biases are not counted.
    """
    layers = range(shape.num_layers)
    return sum(_attention_weights(shape) + _ffn_weights(shape, layer) for layer in layers)


def head_weights(shape: Shape) -> int:
    """Weights of the output head, which the embedding table lends where the two are tied."""
    return shape.vocab_size * shape.hidden_size


def operations_per_token(
    shape: Shape, context_tokens: int, *, with_logits: bool = True, expanded: bool = False
) -> int:
    """Multiplications and additions for one token that attends to `context_tokens` positions.

    A weight costs two; attention costs two per query number and position for the scores, and two
    more for the weighted sum. In prefill only the last position needs logits.

    Latent attention in decoding is absorbed: queries go into the latent's space, so a head's score
    is over `kv_rank` + `rope_dim` numbers and its sum over `kv_rank`. A prefill would rather
    have `expanded` keys of `plain_dim` + `rope_dim` and values of `value_dim`. Its way up from
    the latent, once for each position, has as many weights as the absorbed queries and outputs.
    """
    weights = body_weights(shape)
    if with_logits:
        weights += head_weights(shape)
    if shape.latent is None:
        head_numbers = 2 * shape.head_dim
    else:
        head_numbers = _latent_head_numbers(shape.latent, expanded)
    return 2 * weights + 2 * shape.num_layers * shape.num_heads * head_numbers * context_tokens


def expected_experts(shape: Shape, tokens: int) -> float:
    """How many different experts of a layer a batch needs: count (1 - (1 - used / count)^tokens).

    As if the router chose evenly and for each token alone; 0 in a dense model.
    """
    if shape.experts is None:
        return 0.0
    idle = 1 - shape.experts.used / shape.experts.count
    return shape.experts.count * float(1 - idle**tokens)


def weight_bytes_per_step(
    tensor_bytes: Mapping[str, int], shape: Shape, *, tokens: int = 1
) -> float:
    """Bytes of weights that a step reads for so many tokens, from the sizes of a file's tensors.

    All of them, but of an embedding table that is not also the head only a row a token, and of
    routed experts only those that the tokens are expected to need.
    """
    routed = sum(size for name, size in tensor_bytes.items() if name.endswith("_exps.weight"))
    total = float(sum(tensor_bytes.values()) - routed)
    if shape.experts is not None:
        total += routed * expected_experts(shape, tokens) / shape.experts.count
    if not shape.tied_embeddings:
        embedding = tensor_bytes["token_embd.weight"]
        total -= embedding * (1 - min(tokens / shape.vocab_size, 1))
    return total


def _kv_bytes(shape: Shape, layer_numbers: int, kv_type: PlannedKVType) -> int:
    return int(shape.num_layers * layer_numbers * KV_BYTES[kv_type])


def _latent_head_numbers(latent: LatentAttention, expanded: bool) -> int:
    if expanded:
        return latent.plain_dim + latent.rope_dim + latent.value_dim
    return 2 * latent.kv_rank + latent.rope_dim


def _attention_weights(shape: Shape) -> int:
    hidden, heads = shape.hidden_size, shape.num_heads
    if shape.latent is None:
        return hidden * 2 * (heads + shape.num_kv_heads) * shape.head_dim
    latent = shape.latent
    down = hidden * (latent.query_rank + latent.kv_rank + latent.rope_dim)
    queries = latent.query_rank * heads * (latent.plain_dim + latent.rope_dim)
    keys_values = latent.kv_rank * heads * (latent.plain_dim + latent.value_dim)
    return down + queries + keys_values + hidden * heads * latent.value_dim


def _ffn_weights(shape: Shape, layer: int) -> int:
    if shape.experts is None or not is_expert_layer(shape, layer):
        return 3 * shape.hidden_size * shape.ffn_size
    active = shape.experts.used + shape.experts.shared
    router = shape.hidden_size * shape.experts.count
    return router + active * 3 * shape.hidden_size * shape.experts.ffn_size
