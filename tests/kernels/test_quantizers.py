"""Numbers into every format that is written, and out again."""

from __future__ import annotations

import math

import gguf
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillhouse.encodings import by_name
from stillhouse.errors import UsageError
from stillhouse.kernels.quantizers import has_quantizer, largest_magnitude
from stillhouse.quantize.rows import encode_rows
from tests.reference.quantize import SHAPES, round_plainly

Rows = np.ndarray
FLOATS = ["F32", "F16", "BF16"]
NESTED = [name for name, shape in SHAPES.items() if shape.scale_levels]


def decode(name: str, blocks: Rows) -> Rows:
    fmt = by_name(name)
    return fmt.decode(blocks.reshape(-1, fmt.block_bytes)).reshape(len(blocks), -1)


def encoded(name: str, rows: Rows, importance: Rows | None = None) -> Rows:
    """Through the format and back, in float64."""
    return decode(name, encode_rows(name, rows, importance, threads=1)).astype(np.float64)


def squared_error(rows: Rows, decoded: Rows, weights: Rows | float = 1.0) -> float:
    return float((weights * (decoded - rows.astype(np.float64)) ** 2).sum())


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Weights as models have them: heavier tails than a normal distribution's; 15 blocks a row."""
    return (np.random.default_rng(3).standard_t(5, (12, 15 * 256)) * 0.02).astype(np.float32)


@pytest.fixture(scope="module")
def importance(rows: Rows) -> Rows:
    return np.random.default_rng(4).lognormal(0, 1.5, rows.shape[1]).astype(np.float32)


@pytest.mark.parametrize("name", [*FLOATS, "Q8_0"])
def test_what_takes_no_search_has_the_reference_librarys_bytes(name: str) -> None:
    values = np.random.default_rng(5).normal(0, 1, (3, 96)).astype(np.float32)
    values *= np.float32(10.0) ** np.random.default_rng(6).integers(-6, 4, values.shape)
    values[0, :4] = [0.0, -0.0, 1e-42, 6e-8]
    expected = gguf.quantize(values, gguf.GGMLQuantizationType[name])
    assert np.array_equal(encode_rows(name, values, threads=2), expected.view(np.uint8))


@pytest.mark.parametrize("columns", [1, 15, 17])
@pytest.mark.parametrize("name", FLOATS)
def test_rows_of_floats_may_have_any_width(name: str, columns: int) -> None:
    values = np.random.default_rng(7).normal(0, 1, (3, columns)).astype(np.float32)
    np.testing.assert_allclose(encoded(name, values), values, rtol=2**-8)


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_a_search_beats_the_reference_librarys_rounding(name: str, rows: Rows) -> None:
    theirs = decode(name, gguf.quantize(rows, gguf.GGMLQuantizationType[name]))
    assert squared_error(rows, encoded(name, rows)) < 0.95 * squared_error(rows, theirs)


@pytest.mark.parametrize("name", SHAPES)
def test_no_format_errs_more_than_rounding_to_plain_scales(name: str, rows: Rows) -> None:
    most = 1.01 if name == "Q8_0" else 0.95  # its codes are of the scale before it is rounded
    plain = squared_error(rows, round_plainly(name, rows))
    assert squared_error(rows, encoded(name, rows)) <= most * plain


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "Q8_0"])
def test_importance_moves_the_error_to_columns_that_matter_less(
    name: str, rows: Rows, importance: Rows
) -> None:
    without, with_it = encoded(name, rows), encoded(name, rows, importance)
    before = squared_error(rows, without, importance)
    assert squared_error(rows, with_it, importance) < 0.97 * before
    few = importance < np.quantile(importance, 0.3)
    assert squared_error(rows[:, few], with_it[:, few]) > squared_error(
        rows[:, few], without[:, few]
    )


@pytest.mark.parametrize("name", SHAPES)
def test_importance_counts_by_proportion_only(name: str, rows: Rows, importance: Rows) -> None:
    part, factor = rows[:2], np.float32(2.0**40)
    once = encode_rows(name, part, importance, threads=1)
    assert np.array_equal(once, encode_rows(name, part, importance * factor, threads=1))
    assert np.array_equal(once, encode_rows(name, part, importance / factor, threads=1))


@pytest.mark.parametrize("name", SHAPES)
def test_columns_that_a_text_never_reached_are_kept(name: str, rows: Rows) -> None:
    part = rows[:2, :512]
    reached = np.zeros(512, np.float32)
    reached[300:] = 1
    plain = squared_error(part[:, :256], round_plainly(name, part)[:, :256])
    assert squared_error(part[:, :256], encoded(name, part, reached)[:, :256]) < 1.05 * plain
    nowhere = np.zeros(512, np.float32)
    assert np.array_equal(encoded(name, part, nowhere), encoded(name, part))


@pytest.mark.parametrize("name", [*FLOATS, *SHAPES])
def test_threads_and_neighbours_change_no_byte(name: str, rows: Rows, importance: Rows) -> None:
    for weights in (None, importance):
        whole = encode_rows(name, rows, weights, threads=3)
        assert np.array_equal(whole, encode_rows(name, rows, weights, threads=1))
        alone = encode_rows(name, rows[5:6], weights, threads=1)
        assert np.array_equal(whole[5:6], alone)


numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-40, -3e-8, 6e-5, 0.02, -250.0, 60000.0]),
    st.floats(-65504, 65504, width=32),
)


@st.composite
def odd_blocks(draw: st.DrawFn) -> Rows:
    """A block of 256 of one sort: constant, of one sign, of two numbers, with a spike, or tiny."""
    sort = draw(st.sampled_from(["constant", "one sign", "two", "spike", "narrow", "any"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    first, second = draw(numbers), draw(numbers)
    block = np.full(256, first)
    if sort == "one sign":
        block = -np.abs(rng.normal(0, abs(first) / 8, 256)) * np.sign(second or 1)
    elif sort == "two":
        block = np.where(rng.random(256) < 0.5, first, second)
    elif sort == "spike":
        block = rng.normal(0, abs(first) / 8, 256)
        block[rng.integers(256)] = second
    elif sort == "narrow":
        block = first + rng.normal(0, 1e-4, 256) * abs(first)
    elif sort == "any":
        block = rng.normal(0, 1, 256) * np.exp(rng.normal(0, 4, 256)) * second / 2**20
    return np.clip(block, -65504, 65504).astype(np.float32)[np.newaxis]


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(rows=odd_blocks(), weighted=st.booleans())
@example(rows=np.zeros((1, 256), np.float32), weighted=False)
@example(rows=np.full((1, 256), -1e-45, np.float32), weighted=True)
def test_odd_blocks_stay_finite_and_no_worse_than_plain(
    name: str, rows: Rows, weighted: bool
) -> None:
    found = encoded(name, rows, np.ones(256, np.float32) if weighted else None)
    assert np.isfinite(found).all()
    plain = squared_error(rows, round_plainly(name, rows))
    # Left to chance: half a step of float16's subnormals as the unit of all codes, and 1 % of
    # numbers that are nearly the same, which leaves float32's sums nothing to choose by.
    shape = SHAPES[name]
    reach = shape.levels * max(1, shape.scale_levels)
    chance = 256 * (2.0**-25 * reach) ** 2 + 1e-4 * squared_error(rows, 0 * rows)
    assert squared_error(rows, found) <= 1.1 * plain + chance


@pytest.mark.parametrize("name", [*FLOATS[1:], *SHAPES])
def test_a_format_holds_the_largest_numbers_it_claims_and_refuses_more(name: str) -> None:
    largest = np.float32(largest_magnitude(name))
    for sign in (1, -1):
        rows = np.full((1, 256), sign * largest, np.float32)
        rows[0, ::3] = 0
        found = encoded(name, rows)
        np.testing.assert_allclose(found, rows, atol=0.2 * float(largest))
        rows[0, 7] = sign * np.nextafter(largest, np.float32(math.inf))
        with pytest.raises(UsageError, match=rf"blk\.1\.ffn_up holds .*, and {name} numbers"):
            encode_rows(name, rows, threads=1, name="blk.1.ffn_up")


def test_every_format_that_is_written_is_tested_here() -> None:
    mine = {*FLOATS, *SHAPES}
    assert all(has_quantizer(name) for name in mine)
