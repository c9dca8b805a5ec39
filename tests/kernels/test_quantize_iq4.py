"""Writing IQ4_NL and IQ4_XS, read back by the decoders that other tests hold against gguf's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.encodings import by_name
from stillhouse.encodings.i_quants import IQ4_VALUES
from stillhouse.quantize.rows import encode_rows

_NAMES = ("IQ4_NL", "IQ4_XS")


def _round_trip(name: str, rows: np.ndarray, importance: np.ndarray | None = None) -> np.ndarray:
    fmt = by_name(name)
    blocks = encode_rows(name, rows, importance, threads=2)
    return fmt.decode(blocks.reshape(-1, fmt.block_bytes)).reshape(rows.shape)


def _normal_rows(seed: int = 8, count: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (count, 512)).astype(np.float32)


def _nearest_values(rows: np.ndarray) -> np.ndarray:
    """Every number at the nearest value, with the scale that makes a block's largest -127."""
    blocks = rows.astype(np.float64).reshape(-1, 32, 1)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    values = np.array(IQ4_VALUES) * largest / -127
    nearest = np.abs(blocks - values).argmin(axis=2)
    return np.take_along_axis(values[:, 0], nearest, axis=1).reshape(rows.shape)


@pytest.mark.parametrize("name", _NAMES)
def test_what_blocks_can_hold_comes_back_as_it_was(name: str) -> None:
    random = np.random.default_rng(9)
    codes = np.array(IQ4_VALUES)[random.integers(0, 16, (4, 8, 32))].astype(float)
    codes[:, :, 0], codes[:, :, 1] = -127, 113
    multiples = random.integers(-32, 32, (4, 8, 1))
    multiples[:, 0] = -32
    rows = (codes * multiples * 2.0**-14).astype(np.float32).reshape(4, 256)
    assert np.allclose(_round_trip(name, rows), rows, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", _NAMES)
def test_the_error_is_below_that_of_nearest_values_at_the_largest_numbers_scale(name: str) -> None:
    rows = _normal_rows()
    error = ((_round_trip(name, rows) - rows) ** 2).sum()
    assert error < 0.9 * ((_nearest_values(rows) - rows) ** 2).sum()


@pytest.mark.parametrize("name", _NAMES)
def test_no_code_beside_the_one_written_is_nearer(name: str) -> None:
    """Whatever the scales: every number has the best value that its own scale can give."""
    rows, fmt = _normal_rows(), by_name(name)
    blocks = encode_rows(name, rows, threads=1).reshape(-1, fmt.block_bytes)
    scale = fmt.unpack(blocks).scale.reshape(-1, 1, 1).astype(np.float64)
    could_be = np.abs(rows.reshape(-1, 32, 1) - scale * np.array(IQ4_VALUES)).min(axis=2)
    error = np.abs(fmt.decode(blocks).reshape(-1, 32) - rows.reshape(-1, 32))
    assert np.allclose(error, could_be, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", _NAMES)
def test_importance_moves_the_error_to_where_it_weighs_less(name: str) -> None:
    rows = _normal_rows()
    importance = np.random.default_rng(7).lognormal(0, 1.5, 512).astype(np.float32)

    def weighted(decoded: np.ndarray) -> float:
        return float(((decoded - rows) ** 2 * importance).sum())

    assert weighted(_round_trip(name, rows, importance)) < 0.9 * weighted(_round_trip(name, rows))


@pytest.mark.parametrize("name", _NAMES)
def test_the_number_of_threads_changes_no_byte(name: str) -> None:
    rows = _normal_rows(count=7)
    assert np.array_equal(encode_rows(name, rows, threads=1), encode_rows(name, rows, threads=3))


@pytest.mark.parametrize("name", _NAMES)
def test_zeros_are_zero_bytes_and_importance_of_nothing_is_none(name: str) -> None:
    rows = _normal_rows()
    rows[1] = 0
    blocks = encode_rows(name, rows, threads=1)
    assert not blocks[1].any()
    assert np.array_equal(blocks, encode_rows(name, rows, np.zeros(512, np.float32), threads=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(_NAMES),
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(-45, 4),
    kind=st.sampled_from(["normal", "constant", "one", "few", "steep"]),
)
def test_blocks_of_any_range_are_never_worse_than_zeros(
    name: str, seed: int, exponent: int, kind: str
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
    decoded = _round_trip(name, rows).astype(np.float64)
    assert np.isfinite(decoded).all()

    size = by_name(name).block_size
    exact = rows.astype(np.float64).reshape(-1, size)
    scaled = exact / np.maximum(np.abs(exact).max(axis=1, keepdims=True), 1e-300)
    weights = np.sqrt(2 * (scaled**2).mean(axis=1, keepdims=True) + scaled**2)
    error = (weights * (decoded.reshape(-1, size) - exact) ** 2).sum(axis=1)
    assert (error <= (weights * exact**2).sum(axis=1) * (1 + 1e-5)).all()
