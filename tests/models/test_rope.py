"""Rope's angles and tables against the naive twin, for every scaling."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.models.config import RopeConfig
from stillhouse.models.rope import RopeTable, angles_per_position
from tests.reference.attention import angle, magnitude

PLAIN = RopeConfig("half", 64, 10_000.0)
YARN = RopeConfig("half", 128, 1e6, "yarn", 4.0, original_context=32_768)
# Llama 3's own divisors: 8 for slow pairs, 1 for fast ones.
DIVISORS = np.geomspace(1, 8, 64).astype(np.float32)


@pytest.mark.parametrize(
    ("rope", "divisors"),
    [
        (PLAIN, None),
        (RopeConfig("half", 64, 10_000.0, "linear", 4.0), None),
        (YARN, None),
        (RopeConfig("half", 128, 1e6, "yarn", 2.5, 4096, 0.9, 16.0, 2.0), None),
        (RopeConfig("interleaved", 128, 5e5), DIVISORS),
    ],
    ids=["plain", "linear", "yarn", "other yarn", "llama 3"],
)
def test_tables_hold_what_the_twin_says(
    rope: RopeConfig, divisors: np.ndarray[tuple[int], np.dtype[np.float32]] | None
) -> None:
    table = RopeTable(rope, 5000, divisors)
    table.reach(4999)
    angles = np.array([angle(rope, pair, divisors) for pair in range(rope.dim // 2)])
    np.testing.assert_allclose(angles_per_position(rope, divisors), angles, rtol=1e-12)
    for position in (0, 1, 31, 1023, 1024, 4999):
        cosines, sines = np.cos(position * angles), np.sin(position * angles)
        # Float32 keeps 2^-24 of a number around 1.
        np.testing.assert_allclose(table.cosines[position], magnitude(rope) * cosines, atol=1e-7)
        np.testing.assert_allclose(table.sines[position], magnitude(rope) * sines, atol=1e-7)


def test_yarn_leaves_fast_pairs_alone_and_slows_slow_ones_by_the_factor() -> None:
    plain = angles_per_position(RopeConfig("half", 128, 1e6))
    ratio = plain / angles_per_position(YARN)
    turns = 32_768 * plain / (2 * np.pi)
    np.testing.assert_allclose(ratio[turns > 40], 1)
    np.testing.assert_allclose(ratio[turns < 0.8], 4)
    assert (np.diff(ratio) >= 0).all()


def test_a_table_is_filled_as_far_as_it_is_reached() -> None:
    table = RopeTable(PLAIN, 3000)
    address = table.cosines.ctypes.data
    table.reach(5)
    assert table.cosines[5, 0] != 0
    assert not table.cosines[2000].any()
    table.reach(2999)
    assert table.cosines[2999].any()
    assert table.cosines.ctypes.data == address


def test_a_position_outside_the_context_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="3000"):
        RopeTable(PLAIN, 3000).reach(3000)
