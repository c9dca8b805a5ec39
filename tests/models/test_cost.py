"""Costs follow from the shape, and agree with figures published elsewhere."""

from __future__ import annotations

import dataclasses

import pytest

from stillhouse import catalog
from stillhouse.catalog import Shape
from stillhouse.models.cost import (
    PlannedKVType,
    body_weights,
    expanded_kv_bytes_per_token,
    expected_experts,
    head_weights,
    kv_bytes_per_token,
    operations_per_token,
    weight_bytes_per_step,
)
from stillhouse.models.file_size import predicted_file
from stillhouse.models.tensors import active_parameters

GIB = 1 << 30


def shape_of(name: str) -> Shape:
    return catalog.find(name).model.shape


QWEN_1_5B = shape_of("r1-distill-qwen-1.5b")
R1 = shape_of("r1-671b")


@pytest.mark.parametrize(
    ("name", "kib_bf16", "kib_q8_0", "gib_32k"),
    [
        ("r1-distill-qwen-1.5b", 28, 14.875, 0.875),
        ("r1-distill-qwen-7b", 56, 29.75, 1.75),
        ("r1-distill-llama-8b", 128, 68, 4.0),
        ("r1-0528-qwen3-8b", 144, 76.5, 4.5),
        ("r1-distill-qwen-14b", 192, 102, 6.0),
        ("r1-distill-qwen-32b", 256, 136, 8.0),
        ("r1-distill-llama-70b", 320, 170, 10.0),
    ],
)
def test_kv_bytes_of_the_r1_family(
    name: str, kib_bf16: float, kib_q8_0: float, gib_32k: float
) -> None:
    shape = shape_of(name)
    assert kv_bytes_per_token(shape, "bf16") == kib_bf16 * 1024
    assert kv_bytes_per_token(shape, "f16") == kib_bf16 * 1024
    assert kv_bytes_per_token(shape, "q8_0") == kib_q8_0 * 1024
    assert kv_bytes_per_token(shape, "q4_0") == kib_bf16 * 1024 * 4.5 / 16
    assert 32768 * kv_bytes_per_token(shape, "bf16") == gib_32k * GIB
    assert expanded_kv_bytes_per_token(shape, "bf16") == kv_bytes_per_token(shape, "bf16")


def test_the_671b_keeps_one_latent_a_layer_for_all_heads() -> None:
    assert kv_bytes_per_token(R1, "bf16") == 61 * 576 * 2 == 70_272
    assert 163_840 * kv_bytes_per_token(R1, "bf16") / GIB == pytest.approx(10.72, abs=0.005)
    assert kv_bytes_per_token(R1, "q8_0") == 61 * 576 * 34 // 32
    assert expanded_kv_bytes_per_token(R1, "f16") == 4880 * 1024


def test_heads_need_not_share_the_width_of_the_model() -> None:
    wide = dataclasses.replace(QWEN_1_5B, head_dim=192)
    assert 128 * kv_bytes_per_token(wide, "bf16") == 192 * kv_bytes_per_token(QWEN_1_5B, "bf16")


def test_the_weights_of_a_dense_layer_counted_by_hand() -> None:
    attention = 1536 * 1536 + 2 * 1536 * 256 + 1536 * 1536
    assert body_weights(QWEN_1_5B) == 28 * (attention + 3 * 1536 * 8960)


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_weights_are_the_active_parameters_but_for_norms_and_biases(model: catalog.Model) -> None:
    weights = body_weights(model.shape) + head_weights(model.shape)
    rest = active_parameters(model.shape) - weights
    assert 0 < rest < 3e-4 * weights


def test_operations_are_two_a_weight_and_grow_with_the_context() -> None:
    prefill = operations_per_token(QWEN_1_5B, 0, with_logits=False)
    assert prefill == 2 * body_weights(QWEN_1_5B)
    assert operations_per_token(QWEN_1_5B, 0) - prefill == 2 * 151936 * 1536
    longer = operations_per_token(QWEN_1_5B, 100) - operations_per_token(QWEN_1_5B, 0)
    assert longer == 4 * 28 * 12 * 128 * 100


def test_absorbed_attention_works_in_the_latents_space_and_expanded_in_the_heads() -> None:
    without = operations_per_token(R1, 0)
    assert operations_per_token(R1, 0, expanded=True) == without
    assert operations_per_token(R1, 10) - without == 2 * 61 * 128 * (576 + 512) * 10
    expanded = operations_per_token(R1, 10, expanded=True) - without
    assert expanded == 2 * 61 * 128 * (192 + 128) * 10


def test_one_row_of_the_embedding_is_read_unless_it_is_the_head() -> None:
    tensors = {"token_embd.weight": 151936 * 10, "output.weight": 500, "blk.0.attn_q.weight": 70}
    assert weight_bytes_per_step(tensors, QWEN_1_5B) == pytest.approx(500 + 70 + 10)
    assert weight_bytes_per_step(tensors, QWEN_1_5B, tokens=4) == pytest.approx(500 + 70 + 40)
    tied = dataclasses.replace(QWEN_1_5B, tied_embeddings=True)
    del tensors["output.weight"]
    assert weight_bytes_per_step(tensors, tied) == 151936 * 10 + 70


def test_one_token_needs_its_own_experts_and_a_large_batch_all() -> None:
    assert expected_experts(R1, 1) == pytest.approx(8)
    assert expected_experts(R1, 2) == pytest.approx(16 - 8 * 8 / 256)
    assert expected_experts(R1, 10_000) == pytest.approx(256)
    assert expected_experts(QWEN_1_5B, 5) == 0


def test_a_step_of_the_671b_reads_a_small_part_of_the_file() -> None:
    file = predicted_file(catalog.find("r1-671b").model, "Q8_0")
    one = weight_bytes_per_step(file.sizes(), R1)
    assert one == pytest.approx(active_parameters(R1) * 8.5 / 8, rel=0.01)
    assert weight_bytes_per_step(file.sizes(), R1, tokens=10_000) > 0.99 * file.tensor_bytes


@pytest.mark.parametrize("kv_type", ["bf16", "f16", "q8_0", "q4_0"])
def test_kv_bytes_are_whole_for_every_model(kv_type: PlannedKVType) -> None:
    for model in catalog.models():
        shape = model.shape
        width = 576 if shape.latent else 2 * shape.num_kv_heads * shape.head_dim
        assert width % 32 == 0
        assert kv_bytes_per_token(shape, kv_type) % shape.num_layers == 0
