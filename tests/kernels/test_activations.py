"""Norm, gate and the forms in which activations are left, against the naive twin."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.kernels import activations
from stillhouse.kernels.activations import NOT_QUANTIZED, Forms, QuantizedBuffer, QuantizedRows
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Operation, Program, Team
from tests.kernels.layers import GUARD, address
from tests.reference.attention import rms_norm, silu
from tests.reference.linear import quantize, round_to_bf16

Floats = npt.NDArray[np.float32]

SHAPES = [(1, 768), (2, 512), (5, 256), (13, 96), (1, 96), (2, 32)]  # rows, columns
in_every_shape = pytest.mark.parametrize(("rows", "columns"), SHAPES)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def memory_at(start: int, kind: Any, *shape: int) -> npt.NDArray[Any]:
    """A copy of the numbers at an address."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer(ctypes.string_at(start, size), kind).reshape(shape)


class Left:
    """Every form in which a kernel leaves (rows, columns), and whether they are right."""

    def __init__(self, rows: int, columns: int) -> None:
        self.shape = rows, columns
        self._by_256 = QuantizedBuffer(rows, columns, 256) if columns % 256 == 0 else None
        self._by_32 = QuantizedBuffer(rows, columns, 32)
        self._bf16 = allocate(rows * columns * 2)
        by_256 = self._by_256.rows if self._by_256 else NOT_QUANTIZED
        self.forms = Forms(by_256, self._by_32.rows, address(self._bf16))

    def assert_forms_of(self, x: Floats) -> None:
        self._assert_quantized(x, self.forms.by_32, 32)
        if self._by_256:
            self._assert_quantized(x, self.forms.by_256, 256)
            self._assert_split_sums(x)
        bf16 = memory_at(self.forms.bf16, np.uint16, *self.shape).astype(np.uint32) << 16
        np.testing.assert_array_equal(bf16.view(np.float32), round_to_bf16(x))

    def _assert_quantized(self, x: Floats, at: QuantizedRows, span: int) -> None:
        rows, columns = self.shape
        codes, scales = quantize(x, span)
        np.testing.assert_array_equal(memory_at(at.codes, np.int8, rows, columns), codes)
        kept = memory_at(at.scales, np.float32, rows, columns // span)
        np.testing.assert_array_equal(kept, scales)
        for width, where in ((16, at.sums16), (32, at.sums32)):
            sums = codes.reshape(rows, -1, width).sum(axis=2, dtype=np.int32)
            np.testing.assert_array_equal(memory_at(where, np.int32, *sums.shape), sums)

    def _assert_split_sums(self, x: Floats) -> None:
        rows, columns = self.shape
        codes, _ = quantize(x, 256)
        split = memory_at(self.forms.by_256.split_sums, np.int8, rows, columns // 128, 2, 4)
        high, low = split[:, :, 0].astype(int), split[:, :, 1].astype(int)
        sums = codes.reshape(rows, -1, 4, 32).sum(axis=3, dtype=int)
        np.testing.assert_array_equal(64 * high + low, sums)
        assert low.min() >= -32
        assert low.max() <= 31


@in_every_shape
def test_quantising_rounds_to_the_nearest_code_of_a_span(
    compiler: KernelCompiler, teams: dict[int, Team], rows: int, columns: int
) -> None:
    x = normal(rows, columns)
    x[0, :32] = 0  # a span without a largest
    if rows > 1:
        x[1] = 3e4  # the largest sums
        x[-1, ::2], x[-1, 1::2] = 127, np.arange(columns // 2) - 0.5  # ties go to even codes
    kernel, count = compiler.address("quantize", activations.make_quantize), np.array([rows])
    for team in teams.values():
        left = Left(rows, columns)
        arguments = address(x), columns, address(count), *left.forms.arguments()
        team.run(Program([Operation(kernel, arguments)]))
        left.assert_forms_of(x)


@in_every_shape
def test_norm_divides_by_the_root_mean_square(
    compiler: KernelCompiler, teams: dict[int, Team], rows: int, columns: int
) -> None:
    x, weight = normal(rows, columns), normal(columns, seed=1)
    x[0] *= 1e-4  # eps counts
    eps, count = np.array([1e-6], np.float32), np.array([rows])
    kernel = compiler.address("norm", activations.make_norm)
    results = []
    for team in teams.values():
        left, y = Left(rows, columns), np.full((rows + 1, columns), GUARD)
        arguments = (
            address(x), address(weight), address(y), columns, address(count), address(eps),
            *left.forms.arguments(),
        )  # fmt: skip
        team.run(Program([Operation(kernel, arguments)]))
        np.testing.assert_allclose(y[:-1], rms_norm(x, weight, 1e-6), rtol=2e-6, atol=1e-9)
        assert (y[-1] == GUARD).all()
        left.assert_forms_of(y[:-1])
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@in_every_shape
def test_the_gate_multiplies_silu_by_up(
    compiler: KernelCompiler, teams: dict[int, Team], rows: int, columns: int
) -> None:
    gate, up = 5 * normal(rows, columns), normal(rows, columns, seed=1)
    gate[0, :4] = 0, -200, 200, -87.5  # where e^-z is 1, huge, nothing, and just not too large
    kernel, count = compiler.address("gate", activations.make_gate), np.array([rows])
    for team in teams.values():
        left, y = Left(rows, columns), gate.copy()
        arguments = address(y), address(up), columns, address(count), *left.forms.arguments()
        team.run(Program([Operation(kernel, arguments)]))
        twin = silu(np.maximum(gate.astype(np.float64), -700)) * up
        np.testing.assert_allclose(y, twin, rtol=2e-6, atol=1e-30)
        left.assert_forms_of(y)
