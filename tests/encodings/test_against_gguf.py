"""Every format against the gguf package's dequantisation, bit for bit."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from stillhouse.encodings import ENCODINGS, Encoding
from tests.factories import random_blocks

# What the installed package knows but cannot decode, or does not know: proved by hand alone.
NOT_IN_GGUF = {"F64", "I8", "I16", "I32", "I64", "Q8_1", "Q8_K", "Q1_0", "Q2_0"}
SHARED = [encoding for encoding in ENCODINGS if encoding.name not in NOT_IN_GGUF]
QUANTISED = [encoding for encoding in SHARED if not encoding.is_float]


def peer(encoding: Encoding, blocks: np.ndarray) -> np.ndarray:
    values = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[encoding.name])
    return values.reshape(len(blocks), encoding.block_size).astype(np.float32)


@pytest.mark.parametrize("encoding", QUANTISED, ids=repr)
def test_random_blocks_decode_bit_for_bit(encoding: Encoding) -> None:
    blocks = random_blocks(encoding, 257, 0.02, np.random.default_rng(7))
    ours, theirs = encoding.decode(blocks), peer(encoding, blocks)
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("encoding", SHARED, ids=repr)
def test_any_bytes_decode_alike_where_they_are_finite(encoding: Encoding) -> None:
    blocks = np.random.default_rng(8).integers(0, 256, (999, encoding.block_bytes), np.uint8)
    with np.errstate(all="ignore"):
        theirs = peer(encoding, blocks)
    np.testing.assert_array_equal(encoding.decode(blocks), theirs)  # nan where it is nan


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_sizes_are_those_of_gguf(encoding: Encoding) -> None:
    if encoding.name == "Q2_0":
        pytest.skip("newer than the package")
    number = gguf.GGMLQuantizationType[encoding.name]
    assert number == encoding.ggml_type
    if (
        encoding.name != "Q8_1"
    ):  # the package has 40 bytes, ggml's struct 36 since its sums are fp16
        assert gguf.GGML_QUANT_SIZES[number] == (encoding.block_size, encoding.block_bytes)
