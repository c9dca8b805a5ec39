"""A model's shape is read from metadata and checked before anything is sized by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ARCHITECTURES, ModelConfig

SMOLLM2: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.rope.freq_base": 100000.0,
    "llama.rope.dimension_count": 64,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": 49152,
}
R1_QWEN_7B: dict[str, object] = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 28,
    "qwen2.context_length": 131072,
    "qwen2.embedding_length": 3584,
    "qwen2.feed_forward_length": 18944,
    "qwen2.attention.head_count": 28,
    "qwen2.attention.head_count_kv": 4,
    "qwen2.rope.freq_base": 10000.0,
    "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
    "tokenizer.ggml.tokens": ["x"] * 152064,
}
R1_0528_QWEN3_8B: dict[str, object] = {
    "general.architecture": "qwen3",
    "qwen3.block_count": 36,
    "qwen3.context_length": 131072,
    "qwen3.embedding_length": 4096,
    "qwen3.feed_forward_length": 12288,
    "qwen3.attention.head_count": 32,
    "qwen3.attention.head_count_kv": 8,
    "qwen3.attention.key_length": 128,
    "qwen3.attention.value_length": 128,
    "qwen3.rope.freq_base": 1000000.0,
    "qwen3.rope.scaling.type": "yarn",
    "qwen3.rope.scaling.factor": 4.0,
    "qwen3.rope.scaling.original_context_length": 32768,
    "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
    "qwen3.vocab_size": 151936,
}


def test_llama_rotates_neighbours_and_the_qwens_halves() -> None:
    assert ModelConfig.from_metadata(SMOLLM2).rope.kind == "interleaved"
    assert ModelConfig.from_metadata(R1_QWEN_7B).rope.kind == "half"
    assert ModelConfig.from_metadata(R1_0528_QWEN3_8B).rope.kind == "half"


def test_head_size_is_width_over_heads_unless_the_file_says_it() -> None:
    assert ModelConfig.from_metadata(R1_QWEN_7B).head_dim == 128
    assert ModelConfig.from_metadata(SMOLLM2).head_dim == 64
    wide = ModelConfig.from_metadata(R1_0528_QWEN3_8B | {"qwen3.embedding_length": 1024})
    assert (wide.hidden_size, wide.head_dim) == (1024, 128)


def test_vocabulary_is_counted_where_no_key_gives_it() -> None:
    assert ModelConfig.from_metadata(R1_QWEN_7B).vocab_size == 152064


def test_yarn_comes_with_its_published_defaults() -> None:
    rope = ModelConfig.from_metadata(R1_0528_QWEN3_8B).rope
    assert (rope.scaling, rope.factor, rope.original_context) == ("yarn", 4.0, 32768)
    assert (rope.beta_fast, rope.beta_slow, rope.attention_factor) == (32.0, 1.0, 1.0)


def test_linear_scaling_is_read_and_a_factor_of_one_is_none() -> None:
    linear = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0}
    assert ModelConfig.from_metadata(SMOLLM2 | linear).rope.scaling == "linear"
    linear["llama.rope.scaling.factor"] = 1.0
    assert ModelConfig.from_metadata(SMOLLM2 | linear).rope.scaling == "none"


def test_tied_embeddings_are_the_callers_to_say() -> None:
    assert ModelConfig.from_metadata(SMOLLM2, tied_embeddings=True).tied_embeddings
    assert not ModelConfig.from_metadata(SMOLLM2).tied_embeddings


def test_an_unknown_architecture_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadCheckpoint, match="'mamba'") as caught:
        ModelConfig.from_metadata({"general.architecture": "mamba"})
    assert caught.value.hint is not None
    assert all(name in caught.value.hint for name in ARCHITECTURES)


@pytest.mark.parametrize(
    "key",
    [
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.layer_norm_rms_epsilon",
        "vocab_size",
    ],
)
def test_a_missing_figure_is_named(key: str) -> None:
    metadata = {name: value for name, value in SMOLLM2.items() if name != f"llama.{key}"}
    with pytest.raises(BadCheckpoint, match=f"llama.{key}"):
        ModelConfig.from_metadata(metadata)


@pytest.mark.parametrize("key", [key for key in SMOLLM2 if key != "general.architecture"])
@pytest.mark.parametrize(
    "value",
    [0, -1, 1 << 40, float("nan"), float("inf"), "8", True, [8, 8], np.array([8, 8])],
    ids=str,
)
def test_an_absurd_figure_is_one_line(key: str, value: object) -> None:
    with pytest.raises(BadCheckpoint) as caught:
        ModelConfig.from_metadata(SMOLLM2 | {key: value})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"llama.attention.head_count_kv": 2},  # 9 heads in 2 groups
        {"llama.embedding_length": 577},  # width over 9 heads
        {"llama.rope.dimension_count": 32},  # half of the head turned
        {"llama.attention.key_length": 63, "llama.rope.dimension_count": 63},  # odd pairs
        {"llama.attention.value_length": 32},
        {"llama.expert_count": 8},
        {"llama.rope.scaling.type": "longrope"},
        {"general.architecture": 7},
    ],
    ids=str,
)
def test_shapes_that_cannot_be_run_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadCheckpoint) as caught:
        ModelConfig.from_metadata(SMOLLM2 | change)
    assert "\n" not in caught.value.message


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig.from_metadata(SMOLLM2).num_layers = 1  # type: ignore[misc]
