"""The cache takes the bytes that planning counts."""

from __future__ import annotations

import ctypes
import dataclasses

import numpy as np
import pytest

from stillhouse.kernels.kv_layout import BLOCK_TOKENS, head_block_bytes
from stillhouse.models.config import ARCHITECTURES, ModelConfig, RopeConfig
from stillhouse.models.cost import KVType, kv_bytes_per_token
from stillhouse.models.kv import KVCache, bytes_per_block

SMOLLM2 = ModelConfig(
    architecture=ARCHITECTURES["llama"],
    num_layers=30,
    hidden_size=576,
    num_heads=9,
    num_kv_heads=3,
    head_dim=64,
    ffn_size=1536,
    vocab_size=49152,
    context_length=2048,
    rms_eps=1e-5,
    rope=RopeConfig("interleaved", 64, 1e5),
    tied_embeddings=True,
)
QWEN_LIKE = dataclasses.replace(SMOLLM2, num_heads=12, num_kv_heads=2, head_dim=128)


@pytest.mark.parametrize("config", [SMOLLM2, QWEN_LIKE], ids=["64", "128"])
@pytest.mark.parametrize("kv_type", ["bf16", "q8_0"])
def test_a_block_is_as_large_as_its_tokens_cost(config: ModelConfig, kv_type: KVType) -> None:
    kv = KVCache(config, 7, kv_type)
    assert kv.num_blocks == 7
    assert kv.nbytes == 7 * bytes_per_block(config, kv_type)
    assert bytes_per_block(config, kv_type) == BLOCK_TOKENS * kv_bytes_per_token(
        config.shape, kv_type
    )
    heads = 2 * config.num_layers * config.num_kv_heads
    assert bytes_per_block(config, kv_type) == heads * head_block_bytes(kv_type, config.head_dim)


def test_layers_lie_one_behind_the_other() -> None:
    kv = KVCache(SMOLLM2, 4, "bf16")
    step = kv.layer_address(1) - kv.layer_address(0)
    assert step * SMOLLM2.num_layers == kv.nbytes
    assert kv.layer_address(29) + step == kv.layer_address(0) + kv.nbytes


@pytest.mark.parametrize("kv_type", ["bf16", "q8_0"])
def test_a_copied_block_is_the_same_in_every_layer_and_no_other_changes(kv_type: KVType) -> None:
    kv = KVCache(SMOLLM2, 4, kv_type)
    stored = np.ctypeslib.as_array((ctypes.c_uint8 * kv.nbytes).from_address(kv.layer_address(0)))
    stored[:] = np.random.default_rng(0).integers(0, 256, kv.nbytes, np.uint8)
    blocks = stored.reshape(SMOLLM2.num_layers, 4, -1)
    expected = blocks.copy()
    expected[:, 3] = expected[:, 1]
    kv.copy_block(1, 3)
    assert (blocks == expected).all()
