"""Folders of safetensors: every tensor that a compressor writes, counted."""

from __future__ import annotations

from math import prod

import pytest

from stillhouse import catalog
from stillhouse.errors import UsageError
from stillhouse.models.folder_size import SCHEMES, folder_bytes
from stillhouse.models.tensors import head_name, matrices, parameters

QWEN_1_5B = catalog.find("r1-distill-qwen-1.5b").model.shape
QWEN_7B = catalog.find("r1-distill-qwen-7b").model.shape


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_bf16_takes_two_bytes_a_parameter(model: catalog.Model) -> None:
    assert folder_bytes(model.shape, "bf16") == 2 * model.parameters


@pytest.mark.parametrize("name", ["FP8", "INT8"])
def test_8_bits_take_one_byte_a_weight_and_a_scale_a_row(name: str) -> None:
    linear = {n: s for n, s in matrices(QWEN_7B).items() if n != head_name(QWEN_7B)}
    weights = sum(prod(sizes) for sizes in linear.values())
    rows = sum(sizes[0] for sizes in linear.values())
    rest = parameters(QWEN_7B) - weights
    assert folder_bytes(QWEN_7B, name) == weights + 2 * rows + 2 * rest


def test_4_bits_are_packed_and_have_a_scale_for_128() -> None:
    """One matrix by hand: 8 codes a word, 12 groups a row, rows and columns as two int64."""
    assert SCHEMES["W4A16"].matrix_bytes(256, 1536) == 256 * (192 * 4 + 12 * 2) + 16


def test_small_models_gain_little_because_their_tables_stay() -> None:
    def share(name: str) -> float:
        shape = catalog.find(name).model.shape
        return folder_bytes(shape, "w4a16") / folder_bytes(shape, "bf16")

    assert share("r1-distill-qwen-1.5b") > 0.45
    assert share("r1-distill-llama-70b") < 0.29


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        folder_bytes(QWEN_1_5B, "w2a2")
    assert "w4a16" in str(caught.value.hint)
