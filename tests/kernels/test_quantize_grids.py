"""Writing IQ2 and IQ3, read back by the decoders that other tests hold against gguf's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.encodings import by_name
from stillhouse.kernels.grids import GRIDS
from stillhouse.quantize.rows import encode_rows

_FACTORS = {"IQ2_XXS": 0.125, "IQ2_XS": 0.125, "IQ2_S": 0.125, "IQ3_XXS": 0.25, "IQ3_S": 1.0}
_EVEN = ("IQ2_XXS", "IQ2_XS", "IQ3_XXS")
"""Where the minus signs of eight numbers are even in number."""


def _round_trip(name: str, rows: np.ndarray, importance: np.ndarray | None = None) -> np.ndarray:
    fmt = by_name(name)
    blocks = encode_rows(name, rows, importance, threads=2)
    return fmt.decode(blocks.reshape(-1, fmt.block_bytes)).reshape(rows.shape)


def _normal_rows(seed: int = 5, count: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (count, 512)).astype(np.float32)


def _nearest_levels(name: str, rows: np.ndarray) -> np.ndarray:
    """Every number at the grid's nearest point (of all weights alike), with one scale for each 32
    that makes the largest the highest level: no search for scales, no rounding of them.
    """
    grid = GRIDS[name].points().astype(np.float64)
    eights = rows.astype(np.float64).reshape(-1, 8)
    signs = np.where(eights < 0, -1.0, 1.0)
    if name in _EVEN:
        odd = np.flatnonzero(signs.prod(axis=1) < 0)
        signs[odd, np.abs(eights[odd]).argmin(axis=1)] *= -1
    groups = (eights * signs).reshape(-1, 32)
    scales = groups.max(axis=1, keepdims=True) / grid.max()
    targets = (groups / scales).reshape(-1, 1, grid.shape[1])
    nearest = ((targets - grid) ** 2).sum(axis=2).argmin(axis=1)
    values = grid[nearest].reshape(-1, 32) * scales
    return (values.reshape(-1, 8) * signs).reshape(rows.shape)


@pytest.mark.parametrize("name", GRIDS)
def test_what_blocks_can_hold_comes_back_as_it_was(name: str) -> None:
    random, grid = np.random.default_rng(6), GRIDS[name].points()
    columns = grid.shape[1]
    # One scale is 15, the highest, as in most blocks.
    scales = random.integers(6, 16, (4, 8))
    scales[:, 0] = 15
    codes = grid[random.integers(0, len(grid), (4, 256 // columns))].reshape(4, 256).astype(float)
    # The highest level in every group, or nothing would tell a group's scale from another's.
    for first in range(0, 256, 16):
        codes[:, first : first + columns] = grid[grid.sum(axis=1).argmax()]
    signs = np.where(random.random((4, 32, 8)) < 0.5, -1, 1)
    if name in _EVEN:
        signs[:, :, 7] = signs[:, :, :7].prod(axis=2)
    rows = codes * signs.reshape(4, 256) * np.repeat(2 * scales + 1, 32, axis=1)
    rows = (rows * _FACTORS[name] * 2.0**-9).astype(np.float32)
    assert np.allclose(_round_trip(name, rows), rows, rtol=2e-3, atol=0)


@pytest.mark.parametrize("name", GRIDS)
def test_the_error_is_below_that_of_nearest_points_at_the_largest_numbers_scale(name: str) -> None:
    rows = _normal_rows()
    error = ((_round_trip(name, rows) - rows) ** 2).sum()
    assert error < 0.95 * ((_nearest_levels(name, rows) - rows) ** 2).sum()


@pytest.mark.parametrize("name", GRIDS)
def test_importance_moves_the_error_to_where_it_weighs_less(name: str) -> None:
    rows = _normal_rows()
    importance = np.random.default_rng(7).lognormal(0, 1.5, 512).astype(np.float32)

    def weighted(decoded: np.ndarray) -> float:
        return float(((decoded - rows) ** 2 * importance).sum())

    assert weighted(_round_trip(name, rows, importance)) < 0.8 * weighted(_round_trip(name, rows))


@pytest.mark.parametrize("name", GRIDS)
def test_signs_are_those_of_the_numbers_but_for_one_in_eight_where_parity_asks(name: str) -> None:
    rows = _normal_rows()
    wrong = (np.sign(_round_trip(name, rows)) != np.sign(rows)).reshape(-1, 8).sum(axis=1)
    odd = (rows < 0).reshape(-1, 8).sum(axis=1) % 2
    assert np.array_equal(wrong, odd if name in _EVEN else 0 * odd)


@pytest.mark.parametrize("name", GRIDS)
def test_the_number_of_threads_changes_no_byte(name: str) -> None:
    rows = _normal_rows(count=7)
    assert np.array_equal(encode_rows(name, rows, threads=1), encode_rows(name, rows, threads=3))


@pytest.mark.parametrize("name", GRIDS)
def test_zeros_are_zero_bytes_and_importance_of_nothing_is_none(name: str) -> None:
    rows = _normal_rows()
    rows[1] = 0
    blocks = encode_rows(name, rows, threads=1)
    assert not blocks[1].any()
    assert np.array_equal(blocks, encode_rows(name, rows, np.zeros(512, np.float32), threads=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(GRIDS)),
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(-45, 4),
    kind=st.sampled_from(["normal", "constant", "one", "few", "steep"]),
    weigh=st.booleans(),
)
def test_blocks_of_any_range_are_never_worse_than_zeros(
    name: str, seed: int, exponent: int, kind: str, weigh: bool
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=256).clip(-3, 3)
    if kind == "constant":
        values[:] = values[0]
    elif kind == "one":
        values[1:] = 0
    elif kind == "few":
        values[random.random(256) < 0.97] = 0
    elif kind == "steep":
        values *= 10.0 ** -random.uniform(0, 30, 256)
    rows = (values * 10.0**exponent).astype(np.float32)[np.newaxis]
    importance = random.lognormal(0, 3, 256).astype(np.float32) if weigh else None
    if importance is not None:
        importance[random.random(256) < 0.3] = 0
    decoded = _round_trip(name, rows, importance).astype(np.float64)
    assert np.isfinite(decoded).all()

    exact = rows.astype(np.float64)
    scaled = exact / (np.abs(exact).max() or 1)
    weights = np.sqrt(2 * (scaled**2).mean() + scaled**2)
    if importance is not None:
        weights *= np.maximum(importance / importance.max(), 1e-6)
    error = (weights * (decoded - exact) ** 2).sum()
    assert error <= (weights * exact**2).sum() * (1 + 1e-5)
