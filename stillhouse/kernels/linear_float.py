"""y = W x for weights kept as floats (F32, F16, BF16): panels of sixteen rows, a column at a time.

Column k of a panel is sixteen neighbouring values. Activations are float32 rows (``x`` of
``linear.LinearArguments``; the other activation addresses are unused); sums are float32 in column
order.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import block_fma, block_of, block_store
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.layouts import VALUE_BYTES
from stillhouse.kernels.team import share

FLOAT_KINDS = {"F32": 0, "F16": 1, "BF16": 2}
_ROWS = 8


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(KIND: int, ROWS: int, weights: int, columns: int, x: int, row: int) -> Any:
    x += row * columns * 4
    total = block_of(ROWS, simd.zeros())
    for column in range(columns):
        if KIND == 0:
            values = simd.load(weights + 64 * column)
        elif KIND == 1:
            values = simd.load_f16_as_f32(weights + 32 * column)
        else:
            values = simd.load_bf16_as_f32(weights + 32 * column)
        total = block_fma(ROWS, total, values, x + 4 * column, columns * 4)
    return total


def make_matmul(encoding_name: str) -> Any:
    """The kernel for any number of rows."""
    KIND, ROWS = FLOAT_KINDS[encoding_name], _ROWS
    PANEL_COLUMN = 16 * VALUE_BYTES[encoding_name]

    def matmul(args: int, thread: int, threads: int) -> None:
        weights, panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        out, out_stride = simd.load_i64(args + 64), simd.load_i64(args + 72)
        accumulate, rows = simd.load_i64(args + 80), simd.load_i64(simd.load_i64(args + 88))
        first, last = share(panels, thread, threads)
        for panel in range(first, last):
            panel_weights = weights + panel * columns * PANEL_COLUMN
            row = 0
            while row + ROWS <= rows:
                total = _multiply(KIND, ROWS, panel_weights, columns, x, row)
                target = out + row * out_stride + panel * 64
                block_store(ROWS, total, target, out_stride, accumulate)
                row += ROWS
            while row < rows:
                single = _multiply(KIND, 1, panel_weights, columns, x, row)
                target = out + row * out_stride + panel * 64
                block_store(1, single, target, out_stride, accumulate)
                row += 1

    return matmul
