"""Rounding to E4M3, against the nearest of all its values."""

from __future__ import annotations

import numpy as np

from stillhouse.encodings import by_name
from stillhouse.encodings.float8 import f8_e4m3_bits


def test_every_value_keeps_its_code() -> None:
    codes = np.array([c for c in range(256) if c & 127 != 127], np.uint8)
    values = by_name("F8_E4M3").decode(codes)
    np.testing.assert_array_equal(f8_e4m3_bits(values), codes)


def test_numbers_become_the_nearest_value_and_ties_the_even_code() -> None:
    codes = np.arange(127, dtype=np.uint8)  # 0 to 448
    values = by_name("F8_E4M3").decode(codes)
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(np.log(1e-4), np.log(500), 4000)).astype(np.float32)
    gaps = np.abs(x[:, np.newaxis] - values)
    np.testing.assert_array_equal(gaps[range(4000), f8_e4m3_bits(x)], gaps.min(axis=1))
    middles = (values[1:] + values[:-1]) / 2
    even = np.where(codes[1:] % 2 == 0, codes[1:], codes[:-1])
    np.testing.assert_array_equal(f8_e4m3_bits(middles), even)
    np.testing.assert_array_equal(f8_e4m3_bits(-x), f8_e4m3_bits(x) | 128)
