"""Rows into blocks, checked by decoding them again."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.quantize.rows import encode_rows


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.02, (19, 512)).astype(np.float32)


def test_q8_0_has_the_reference_librarys_bytes(rows: np.ndarray) -> None:
    expected = gguf.quantize(rows, gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(encode_rows("Q8_0", rows, threads=2), expected)


def test_the_number_of_threads_changes_no_byte(rows: np.ndarray) -> None:
    one = encode_rows("Q8_0", rows, threads=1)
    assert np.array_equal(one, encode_rows("Q8_0", rows, threads=3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(rows: np.ndarray, value: float) -> None:
    rows[7, 3] = value
    with pytest.raises(UsageError, match=r"blk\.0\.attn_q\.weight.*not finite"):
        encode_rows("Q8_0", rows, threads=2, name="blk.0.attn_q.weight")


def test_a_row_that_is_no_whole_number_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="rows of 40, and Q8_0 takes 32"):
        encode_rows("Q8_0", np.zeros((2, 40), np.float32), threads=1)


def test_importance_of_another_width_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(UsageError, match="for 32 columns, and it has 512"):
        encode_rows("Q8_0", rows, np.ones(32, np.float32), threads=1)
