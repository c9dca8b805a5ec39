"""Costs follow from the shape, and agree with figures published elsewhere."""

from __future__ import annotations

import dataclasses

import pytest

from stillhouse.models.config import ARCHITECTURES, ModelConfig, RopeConfig
from stillhouse.models.cost import (
    kv_bytes_per_token,
    layer_weights,
    operations_per_token,
    weight_bytes_per_token,
)

QWEN_1_5B = ModelConfig(
    architecture=ARCHITECTURES["qwen2"],
    num_layers=28,
    hidden_size=1536,
    num_heads=12,
    num_kv_heads=2,
    head_dim=128,
    ffn_size=8960,
    vocab_size=151936,
    context_length=32768,
    rms_eps=1e-6,
    rope=RopeConfig("half", 128, 1e6),
    tied_embeddings=False,
)


@pytest.mark.parametrize(
    ("layers", "kv_heads", "kib_bf16", "kib_q8_0"),
    [(28, 2, 28, 14.875), (28, 4, 56, 29.75), (32, 8, 128, 68), (80, 8, 320, 170)],
    ids=["1.5B", "7B", "llama-8B", "llama-70B"],
)
def test_kv_bytes_of_the_r1_family(
    layers: int, kv_heads: int, kib_bf16: float, kib_q8_0: float
) -> None:
    config = dataclasses.replace(QWEN_1_5B, num_layers=layers, num_kv_heads=kv_heads)
    assert kv_bytes_per_token(config, "bf16") == kib_bf16 * 1024
    assert kv_bytes_per_token(config, "q8_0") == kib_q8_0 * 1024


def test_the_weights_of_a_layer_counted_by_hand() -> None:
    attention = 1536 * 1536 + 2 * 1536 * 256 + 1536 * 1536
    assert layer_weights(QWEN_1_5B) == attention + 3 * 1536 * 8960


def test_operations_are_two_a_weight_and_grow_with_the_context() -> None:
    prefill = operations_per_token(QWEN_1_5B, 0, with_logits=False)
    assert prefill == 2 * 28 * layer_weights(QWEN_1_5B)
    assert operations_per_token(QWEN_1_5B, 0) - prefill == 2 * 151936 * 1536
    longer = operations_per_token(QWEN_1_5B, 100) - operations_per_token(QWEN_1_5B, 0)
    assert longer == 4 * 28 * 12 * 128 * 100


def test_one_row_of_the_embedding_is_read_unless_it_is_the_head() -> None:
    tensors = {"token_embd.weight": 151936 * 10, "output.weight": 500, "blk.0.attn_q.weight": 70}
    assert weight_bytes_per_token(tensors, QWEN_1_5B) == 500 + 70 + 10
    tied = dataclasses.replace(QWEN_1_5B, tied_embeddings=True)
    del tensors["output.weight"]
    assert weight_bytes_per_token(tensors, tied) == 151936 * 10 + 70
