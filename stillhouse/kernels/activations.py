"""What happens to activations between the matrices: norm, gate, and quantising to int8.

Linear kernels read activations as int8 with a scale for each span of columns (256 for the K-quants'
layouts, 32 for the rest), and the sums of the codes that offsets and minima need:

    codes int8 (rows, columns) | scales float32 (rows, columns / span) | sums16, sums32: int32 sums
    of 16, 32 codes | split sums int8: the sums of 32 as 64 * high + low, for each 128 columns four
    highs, four lows

Kernels on matrix tiles read bf16 rows instead.

A few rows are shared out by columns, many by rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.layouts import quantized_sections
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import share


class QuantizedRows(NamedTuple):
    """Addresses of quantised activations; all 0 where nobody reads them."""

    codes: int
    scales: int
    sums16: int
    sums32: int
    split_sums: int


class Forms(NamedTuple):
    """The forms in which a kernel leaves activations, in the order of its arguments; 0: not that
    one.
    """

    by_256: QuantizedRows
    by_32: QuantizedRows
    bf16: int

    def arguments(self) -> tuple[int, ...]:
        return (*self.by_256, *self.by_32, self.bf16)


NOT_QUANTIZED = QuantizedRows(0, 0, 0, 0, 0)


class QuantizedBuffer:
    """Memory for up to ``max_rows`` rows of ``columns`` columns, with a scale for each ``span``."""

    def __init__(self, max_rows: int, columns: int, span: int) -> None:
        sizes = quantized_sections(max_rows, columns, span)
        starts = np.cumsum((0, *sizes))
        self._memory = allocate(int(starts[-1]))
        base = int(self._memory.ctypes.data)
        self.rows = QuantizedRows(*(base + int(start) for start in starts[:-1]))
        self.nbytes = int(starts[-1])


@njit(inline="always", **NJIT_OPTIONS)
def quantize_span(
    SPAN: int, x: int, codes: int, scale_at: int, sums16: int, sums32: int, split_sums: int
) -> None:
    """Quantise ``SPAN`` floats at x: code = round(x * 127 / max|x|)."""
    largest = simd.zeros()
    for v in range(SPAN // 16):
        largest = simd.maximum(largest, simd.magnitude(simd.load(x + 64 * v)))
    peak = simd.max_lanes(largest)
    inverse = np.float32(127.0) / peak if peak > 0 else np.float32(0)
    simd.store_f32(scale_at, peak / np.float32(127.0))
    factor = simd.splat_f32(inverse)
    for half in range(SPAN // 32):
        first = simd.round_to_i32(simd.mul(simd.load(x + 128 * half), factor))
        second = simd.round_to_i32(simd.mul(simd.load(x + 128 * half + 64), factor))
        simd.store_low_bytes(codes + 32 * half, first)
        simd.store_low_bytes(codes + 32 * half + 16, second)
        sum_first, sum_second = simd.sum_lanes_i32(first), simd.sum_lanes_i32(second)
        total = sum_first + sum_second
        simd.store_i32(sums16 + 8 * half, sum_first)
        simd.store_i32(sums16 + 8 * half + 4, sum_second)
        simd.store_i32(sums32 + 4 * half, total)
        if SPAN == 256:
            high = (total + 32) >> 6
            at = split_sums + 8 * (half // 4) + half % 4
            simd.store_i8(at, high)
            simd.store_i8(at + 4, total - (high << 6))


@njit(inline="always", **NJIT_OPTIONS)
def _leave_quantized(
    SPAN: int, x: int, buffers: int, row: int, columns: int, first: int, last: int
) -> None:
    codes = simd.load_i64(buffers)
    if codes != 0:
        scales, sums16 = simd.load_i64(buffers + 8), simd.load_i64(buffers + 16)
        sums32, split_sums = simd.load_i64(buffers + 24), simd.load_i64(buffers + 32)
        for column in range(first, last, SPAN):
            n = row * columns + column
            quantize_span(
                SPAN, x + column * 4, codes + n, scales + n // SPAN * 4, sums16 + n // 4,
                sums32 + n // 8, split_sums + n // 16,
            )  # fmt: skip


@njit(inline="always", **NJIT_OPTIONS)
def _leave(x: int, forms: int, row: int, columns: int, first: int, last: int) -> None:
    """Leave columns first to last of a row at x in the forms wanted (``forms``: their address)."""
    _leave_quantized(256, x, forms, row, columns, first, last)
    _leave_quantized(32, x, forms + 40, row, columns, first, last)
    bf16 = simd.load_i64(forms + 80)
    if bf16 != 0:
        for column in range(first, last, 16):
            simd.store_as_bf16(bf16 + 2 * (row * columns + column), simd.load(x + 4 * column))


@njit(inline="always", **NJIT_OPTIONS)
def _shares(rows: int, columns: int, thread: int, threads: int) -> tuple[int, int, int, int]:
    """This thread's rows and columns: first row, last row, first column, last column."""
    if rows >= threads:
        first, last = share(rows, thread, threads)
        return first, last, 0, columns
    unit = 256 if columns % 256 == 0 else 32
    first, last = share(columns // unit, thread, threads)
    return 0, rows, first * unit, last * unit


def make_norm() -> Any:
    """RMS norm, y = x / sqrt(mean(x^2) + eps) * weight, kept as float32 and quantised
    (arXiv:1910.07467).

    Arguments: x, weight, y (addresses, float32), columns, rows (address), eps (address of a
    float32), then Forms.
    """

    def norm(args: int, thread: int, threads: int) -> None:
        x, weight, y = simd.load_i64(args), simd.load_i64(args + 8), simd.load_i64(args + 16)
        columns, rows = simd.load_i64(args + 24), simd.load_i64(simd.load_i64(args + 32))
        eps = simd.load_f32(simd.load_i64(args + 40))
        first_row, last_row, first, last = _shares(rows, columns, thread, threads)
        for row in range(first_row, last_row):
            source, target = x + row * columns * 4, y + row * columns * 4
            squares = simd.zeros()
            for column in range(0, columns, 16):
                v = simd.load(source + 4 * column)
                squares = simd.fma(v, v, squares)
            mean = simd.sum_lanes(squares) / np.float32(columns)
            factor = simd.splat_f32(np.float32(1) / np.sqrt(np.float32(mean + eps)))
            for column in range(first, last, 16):
                v = simd.mul(simd.load(source + 4 * column), factor)
                simd.store(target + 4 * column, simd.mul(v, simd.load(weight + 4 * column)))
            _leave(target, args + 48, row, columns, first, last)

    return norm


def make_gate() -> Any:
    """y = silu(gate) * up, kept as float32 in gate's place and quantised; silu(z) = z / (1 + e^-z).

    Arguments: gate, up (addresses, float32), columns, rows (address), then Forms.
    """

    def gate_up(args: int, thread: int, threads: int) -> None:
        gate, up = simd.load_i64(args), simd.load_i64(args + 8)
        columns, rows = simd.load_i64(args + 16), simd.load_i64(simd.load_i64(args + 24))
        first_row, last_row, first, last = _shares(rows, columns, thread, threads)
        one = simd.splat_f32(np.float32(1))
        for row in range(first_row, last_row):
            base = row * columns * 4
            for column in range(first, last, 16):
                at = base + 4 * column
                z = simd.load(gate + at)
                bottom = simd.add(one, simd.exp(simd.sub(simd.zeros(), z)))
                simd.store(gate + at, simd.mul(simd.div(z, bottom), simd.load(up + at)))
            _leave(gate + base, args + 32, row, columns, first, last)

    return gate_up


def make_quantize() -> Any:
    """Quantise float32 rows. Arguments: x, columns, rows (address), then Forms."""

    def quantize(args: int, thread: int, threads: int) -> None:
        x, columns = simd.load_i64(args), simd.load_i64(args + 8)
        rows = simd.load_i64(simd.load_i64(args + 16))
        first_row, last_row, first, last = _shares(rows, columns, thread, threads)
        for row in range(first_row, last_row):
            _leave(x + row * columns * 4, args + 24, row, columns, first, last)

    return quantize
