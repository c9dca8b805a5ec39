"""The rules that hold for every format."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from stillhouse.encodings import ENCODINGS, Encoding, by_ggml_type, by_name, i_quant_grids
from stillhouse.errors import BadCheckpoint
from tests.factories import random_blocks

AFFINE = [encoding for encoding in ENCODINGS if not encoding.is_float]
QUANTISED = [encoding for encoding in AFFINE if encoding.block_size > 1]


@pytest.mark.parametrize("encoding", AFFINE, ids=repr)
def test_codes_scales_and_minimums_have_the_promised_shapes(encoding: Encoding) -> None:
    blocks = np.zeros((5, encoding.block_bytes), np.uint8)
    codes, scale, minimum, group = encoding.unpack(blocks)
    assert codes.shape == (5, encoding.block_size)
    assert scale.shape == (5, encoding.block_size // group)
    assert scale.dtype == np.float32
    assert minimum is None or (minimum.shape, minimum.dtype) == (scale.shape, np.float32)


@pytest.mark.parametrize("encoding", QUANTISED, ids=repr)
def test_codes_of_quantised_formats_fit_a_byte(encoding: Encoding) -> None:
    blocks = np.random.default_rng(3).integers(0, 256, (64, encoding.block_bytes), np.uint8)
    with np.errstate(all="ignore"):
        assert encoding.unpack(blocks).codes.itemsize == 1


@pytest.mark.parametrize("encoding", AFFINE, ids=repr)
def test_values_are_scale_times_code_minus_minimum(encoding: Encoding) -> None:
    blocks = np.zeros((3, encoding.block_bytes), np.uint8)
    if encoding in QUANTISED:
        blocks = random_blocks(encoding, 3, 1.0, np.random.default_rng(4))
    codes, scale, minimum, group = encoding.unpack(blocks)
    expected = codes * np.repeat(scale, group, axis=1)
    if minimum is not None:
        expected = expected - np.repeat(minimum, group, axis=1)
    np.testing.assert_array_equal(encoding.decode(blocks), expected)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_no_blocks_decode_to_no_values(encoding: Encoding) -> None:
    assert encoding.decode(np.zeros((0, encoding.block_bytes), np.uint8)).size == 0


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_scales_that_are_not_finite_decode_without_a_warning(encoding: Encoding) -> None:
    encoding.decode(np.full((2, encoding.block_bytes), 0x7C, np.uint8))
    encoding.decode(np.full((2, encoding.block_bytes), 0xFF, np.uint8))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_blocks_may_be_views_into_wider_rows_and_read_only(encoding: Encoding) -> None:
    wide = np.random.default_rng(5).integers(0, 256, (9, encoding.block_bytes + 8), np.uint8)
    wide.setflags(write=False)
    view = wide[::2, 8:]
    np.testing.assert_array_equal(encoding.decode(view), encoding.decode(view.copy()))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_an_encoding_is_found_by_name_and_by_number(encoding: Encoding) -> None:
    assert by_name(encoding.name) is encoding
    assert by_ggml_type(encoding.ggml_type) is encoding


def test_an_unknown_encoding_is_a_bad_checkpoint() -> None:
    with pytest.raises(BadCheckpoint, match="'Q9_9' is not a tensor type"):
        by_name("Q9_9")
    with pytest.raises(BadCheckpoint, match="tensor type 31 "):
        by_ggml_type(31)


@pytest.mark.parametrize(
    ("grid", "peer"),
    [
        (i_quant_grids.iq2_xxs, gguf.quants.IQ2_XXS),
        (i_quant_grids.iq2_xs, gguf.quants.IQ2_XS),
        (i_quant_grids.iq2_s, gguf.quants.IQ2_S),
        (i_quant_grids.iq3_xxs, gguf.quants.IQ3_XXS),
        (i_quant_grids.iq3_s, gguf.quants.IQ3_S),
        (i_quant_grids.iq1, gguf.quants.IQ1_S),
    ],
)
def test_a_grid_has_the_points_of_gguf_in_the_same_order(grid, peer) -> None:  # type: ignore[no-untyped-def]
    peer.init_grid()
    np.testing.assert_array_equal(grid(), peer.grid.reshape(peer.grid_shape))
