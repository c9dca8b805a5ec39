"""Floats of one byte by float32 activations, against float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.encodings import by_name
from stillhouse.kernels import linear_float8
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Team
from tests.kernels.panels import multiply, read_as_floats
from tests.kernels.test_linear import LEVELS

Floats = npt.NDArray[np.float32]

on_every_level = pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)
# A scale a row, one for 128 columns with a last block that is not full, and one for 32.
SPANS = [0, 128, 32]


class Matrix:
    """Codes of every kind but the two that are no numbers, packed with a scale a span."""

    def __init__(self, outputs: int, columns: int, span: int) -> None:
        rng = np.random.default_rng(outputs + columns)
        self.shape = outputs, columns
        self.codes = rng.integers(0, 256, self.shape).astype(np.uint8)
        self.codes[self.codes & 127 == 127] = 0
        spans = -(-columns // span) if span else 1
        self.scales = rng.uniform(0.001, 0.002, (outputs, spans)).astype(np.float32)
        values = by_name("F8_E4M3").decode(self.codes).astype(np.float64)
        self.values = values * np.repeat(self.scales, span or columns, axis=1)[:, :columns]
        size = linear_float8.packed_bytes(outputs, columns, span)
        self.packed = allocate(size + 65536)
        panels = -(-outputs // 16)
        for panel, target in enumerate(self.packed[:size].reshape(panels, -1)):
            part = slice(16 * panel, 16 * panel + 16)
            linear_float8.pack_panel(self.codes[part], self.scales[part], target)


def kernel(compiler: KernelCompiler, isa: Isa, span: int) -> int:
    name = f"linear F8_E4M3 {span} {isa.label}"
    return compiler.address(name, lambda: linear_float8.make_matmul(isa, span))


@on_every_level
def test_every_code_is_multiplied_as_what_it_means(
    compiler: KernelCompiler, team: Team, isa: Isa
) -> None:
    """Each row of x picks one column: subnormals, zeros and the largest come out as they are."""
    codes = np.array([code for code in range(256) if code & 127 != 127] + [0, 0], np.uint8)
    codes = codes.reshape(16, 16).repeat(2, axis=1)
    packed = allocate(linear_float8.packed_bytes(16, 32, 0) + 65536)
    ones = np.ones((16, 1), np.float32)
    size = linear_float8.packed_bytes(16, 32, 0)
    linear_float8.pack_panel(codes, ones, packed[:size])
    x = np.eye(32, dtype=np.float32)
    y = multiply(team, kernel(compiler, isa, 0), packed, (16, 32), read_as_floats(x), 32)
    np.testing.assert_array_equal(y.T, by_name("F8_E4M3").decode(codes))


@on_every_level
@pytest.mark.parametrize("span", SPANS)
def test_products_are_those_of_float64(
    compiler: KernelCompiler, team: Team, isa: Isa, span: int
) -> None:
    for outputs, columns in ((16, 32), (48, 192), (20, 576)):
        matrix = Matrix(outputs, columns, span)
        for rows in (1, 2, 13):
            x = np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)
            read = read_as_floats(x)
            y = multiply(team, kernel(compiler, isa, span), matrix.packed, matrix.shape, read, rows)
            terms = abs(x.astype(np.float64)) @ abs(matrix.values).T
            # Sums of up to 576 terms in four chains: some 144 roundings of 2^-24, mostly fewer.
            assert (abs(y - x @ matrix.values.T) < 4e-6 * terms).all()


@on_every_level
@pytest.mark.parametrize("span", [0, 128])
def test_a_row_has_the_same_bits_alone_among_others_and_with_any_number_of_threads(
    compiler: KernelCompiler, teams: dict[int, Team], isa: Isa, span: int
) -> None:
    matrix = Matrix(80, 192, span)
    x = np.random.default_rng(0).standard_normal((13, 192)).astype(np.float32)
    number = kernel(compiler, isa, span)
    expected = multiply(teams[1], number, matrix.packed, matrix.shape, read_as_floats(x), 13)
    for team in teams.values():
        for row in range(13):
            read = read_as_floats(x[row : row + 1])
            alone = multiply(team, number, matrix.packed, matrix.shape, read, 1)
            np.testing.assert_array_equal(alone[0], expected[row])
    before = expected[::-1].copy()
    added = multiply(teams[2], number, matrix.packed, matrix.shape, read_as_floats(x), 13, before)
    np.testing.assert_array_equal(added, before + expected)
