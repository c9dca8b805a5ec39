"""Int8 weights by int8 activations, one scale a row each, against float64 and exact integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.kernels import linear, linear_row
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import C8
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Team
from tests.kernels.panels import RowsAsInt8, multiply
from tests.kernels.test_linear import LEVELS
from tests.reference.linear import quantize_rows

on_every_level = pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)
# Single and odd panels, a last panel that is not full, and one chunk of columns.
SHAPES = [(16, 32), (48, 576), (80, 96), (20, 160)]


class Matrix:
    """A random int8 matrix, packed; with ``zero_points`` an asymmetric one."""

    def __init__(self, outputs: int, columns: int, *, zero_points: bool = False) -> None:
        rng = np.random.default_rng(outputs + columns)
        self.shape = outputs, columns
        self.codes = rng.integers(-128, 128, self.shape).astype(np.int8)
        self.scales = rng.uniform(0.001, 0.002, (outputs, 1)).astype(np.float32)
        zeros = rng.integers(-128, 128, (outputs, 1)).astype(np.int8)
        self.zero_points = zeros if zero_points else None
        self.packed = allocate(C8.packed_bytes(outputs, columns) + 65536)
        panels = -(-outputs // 16)
        size = C8.packed_bytes(outputs, columns) // panels
        for panel in range(panels):
            part = slice(16 * panel, min(16 * panel + 16, outputs))
            zeros_part = None if self.zero_points is None else self.zero_points[part]
            target = self.packed[panel * size : (panel + 1) * size]
            linear_row.pack_panel(self.codes[part], self.scales[part], zeros_part, target)

    def times(self, x: RowsAsInt8) -> npt.NDArray[np.float64]:
        """What the kernels must give, but for the last rounding."""
        zeros = 0 if self.zero_points is None else self.zero_points.astype(np.int64)
        dots = x.codes.astype(np.int64) @ (self.codes.astype(np.int64) - zeros).T
        scales = self.scales.astype(np.float64).T * x.scales[:, np.newaxis]
        return np.asarray(dots * scales)


def matmul(compiler: KernelCompiler, isa: Isa) -> int:
    return compiler.address(f"matmul c8 {isa.label}", linear.make_matmul(isa, C8, tiles=False))


def normal(rows: int, columns: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)


def test_rows_are_rounded_as_compressed_tensors_rounds_tokens(
    compiler: KernelCompiler, teams: dict[int, Team]
) -> None:
    x = normal(9, 96)
    x[1] = 0
    x[2] = 3e4  # every code 127: 127.5 is even rounded up, and cut off
    x[3] = -3e4  # and here -128
    x[4, 7] = 1e6
    x[5] = np.arange(96) / 2  # ties
    x[6] *= 1e-20
    codes, scales = quantize_rows(x)
    for team in teams.values():
        rows = RowsAsInt8(compiler, team, x)
        np.testing.assert_array_equal(rows.codes, codes)
        np.testing.assert_array_equal(rows.scales, scales)
        np.testing.assert_array_equal(rows.sums, codes.astype(np.int32).sum(axis=1))
    assert (codes[2] == 127).all()
    assert (codes[3] == -128).all()


@on_every_level
@pytest.mark.parametrize("zero_points", [False, True], ids=["symmetric", "asymmetric"])
@pytest.mark.parametrize(("outputs", "columns"), SHAPES)
def test_products_are_exact_but_for_the_last_rounding(
    compiler: KernelCompiler, team: Team, isa: Isa, outputs: int, columns: int, zero_points: bool
) -> None:
    matrix = Matrix(outputs, columns, zero_points=zero_points)
    for rows in (1, 2, 5, 13):
        x = RowsAsInt8(compiler, team, normal(rows, columns))
        y = multiply(team, matmul(compiler, isa), matrix.packed, matrix.shape, x.form, rows)
        # An int32 to a float32, two products: three roundings of 2^-24.
        np.testing.assert_allclose(y, matrix.times(x), rtol=2e-7)


@on_every_level
def test_a_row_has_the_same_bits_alone_among_others_and_with_any_number_of_threads(
    compiler: KernelCompiler, teams: dict[int, Team], isa: Isa
) -> None:
    matrix, x = Matrix(80, 96, zero_points=True), normal(13, 96)
    expected = None
    for team in teams.values():
        rows = RowsAsInt8(compiler, team, x)
        y = multiply(team, matmul(compiler, isa), matrix.packed, matrix.shape, rows.form, 13)
        expected = y if expected is None else expected
        np.testing.assert_array_equal(y, expected)
        for row in range(13):
            one = RowsAsInt8(compiler, team, x[row : row + 1])
            alone = multiply(team, matmul(compiler, isa), matrix.packed, matrix.shape, one.form, 1)
            np.testing.assert_array_equal(alone[0], y[row])


@on_every_level
def test_the_widest_row_of_extremes_does_not_overflow(
    compiler: KernelCompiler, team: Team, isa: Isa
) -> None:
    columns = linear_row.MAX_COLUMNS // 32 * 32
    matrix = Matrix(16, columns, zero_points=True)
    assert matrix.zero_points is not None
    matrix.codes[:8], matrix.zero_points[:8] = 127, -128  # 255 each
    matrix.codes[8:], matrix.zero_points[8:] = -128, 127
    linear_row.pack_panel(
        matrix.codes, matrix.scales, matrix.zero_points,
        matrix.packed[: C8.packed_bytes(16, columns)],
    )  # fmt: skip
    x = RowsAsInt8(compiler, team, np.full((2, columns), -3e4, np.float32))
    assert (x.codes == -128).all()
    for rows in (1, 2):
        y = multiply(team, matmul(compiler, isa), matrix.packed, matrix.shape, x.form, rows)
        np.testing.assert_allclose(y, matrix.times(x)[:rows], rtol=2e-7)
    assert 255 * 128 * (columns + 32) > 2**31 > 255 * 128 * columns


@on_every_level
def test_a_result_may_be_added_to_what_is_there(
    compiler: KernelCompiler, team: Team, isa: Isa
) -> None:
    matrix, before = Matrix(48, 64), normal(7, 48)
    x = RowsAsInt8(compiler, team, normal(7, 64))
    kernel = matmul(compiler, isa)
    y = multiply(team, kernel, matrix.packed, matrix.shape, x.form, 7)
    added = multiply(team, kernel, matrix.packed, matrix.shape, x.form, 7, onto=before)
    np.testing.assert_array_equal(added, before + y)
    one = multiply(team, kernel, matrix.packed, matrix.shape, x.form, 1, onto=before[:1])
    np.testing.assert_array_equal(one, added[:1])
