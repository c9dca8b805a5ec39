"""Codes packed into words, and floats of one byte, against naive readings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.encodings import by_name
from stillhouse.encodings.packed_words import pack_words, unpack_words, words_for
from stillhouse.encodings.plain import bf16_bits, round_to


def packed(codes: list[int], bits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """One row, as one number of many bits that is then cut into words."""
    whole = sum(code + (1 << bits - 1) << bits * i for i, code in enumerate(codes))
    raw = whole.to_bytes(4 * words_for(len(codes), bits), "little")
    return np.frombuffer(raw, "<i4")[np.newaxis]


@settings(derandomize=True, deadline=1000)
@given(st.data(), st.integers(1, 8), st.integers(1, 70))
def test_codes_come_out_as_they_went_in(data: st.DataObject, bits: int, count: int) -> None:
    middle = 1 << bits - 1
    codes = data.draw(st.lists(st.integers(-middle, middle - 1), min_size=count, max_size=count))
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    assert unpack_words(packed(codes, bits), bits, first, last).tolist() == [codes[first:last]]


def test_rows_are_packed_each_for_itself() -> None:
    codes = np.random.default_rng(0).integers(-4, 4, (5, 33))
    words = np.concatenate([packed(row.tolist(), 3) for row in codes])
    np.testing.assert_array_equal(unpack_words(words, 3, 0, 33), codes)


def test_all_256_floats_of_one_byte_are_what_the_standard_says() -> None:
    values = by_name("F8_E4M3").decode(np.arange(256, dtype=np.uint8))
    for code in range(256):
        sign = -1 if code >> 7 else 1
        exponent, mantissa = code >> 3 & 15, code & 7
        if exponent == 15 and mantissa == 7:
            assert math.isnan(values[code])
        elif exponent == 0:
            assert values[code] == sign * mantissa / 8 * 2**-6
        else:
            assert values[code] == sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # ties go to the even neighbour
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-3.14159274, -3.140625),
        (float("inf"), float("inf")),
        (3.4e38, float("inf")),
    ],
)
def test_rounding_to_bf16_takes_the_nearest(value: float, rounded: float) -> None:
    assert round_to("BF16", np.array([value], np.float32))[0] == np.float32(rounded)


def test_what_is_not_a_number_stays_so() -> None:
    nan = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan((bf16_bits(nan).astype(np.uint32) << 16).view(np.float32)).all()


def test_f16_and_f32_round_as_numpy_does() -> None:
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_array_equal(round_to("F32", values), values)
    np.testing.assert_array_equal(round_to("F16", values), values.astype(np.float16))


@pytest.mark.parametrize("bits", range(1, 9))
def test_what_is_packed_is_unpacked(bits: int) -> None:
    rng = np.random.default_rng(bits)
    codes = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (5, 45)).astype(np.int8)
    words = pack_words(codes, bits)
    assert words.shape == (5, words_for(45, bits))
    np.testing.assert_array_equal(unpack_words(words, bits, 0, 45), codes)


def test_a_word_packed_by_hand() -> None:
    codes = np.array([[-8, -7, 7, 0, 0, 0, 0, 1]], np.int8)
    np.testing.assert_array_equal(pack_words(codes, 4).view(np.uint32), [[0x98888F10]])
