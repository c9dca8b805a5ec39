"""y = W x for weights kept as floats of one byte (E4M3), with a scale a row or for so many columns.

    y = sum over spans of  scale * (sum of value * x)

Activations are float32 rows, not rounded to eight bits; sums are float32 in four chains, in a fixed
order. A panel of sixteen rows:

    float32 scales[spans][16] | columns, sixteen neighbouring values each

Arguments: see ``linear.LinearArguments``; ``x`` are float32 rows, the other activation addresses
are unused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import block_fma, block_of, block_store
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import PANEL_ROWS
from stillhouse.kernels.simd import V16, declare, load_as, operation
from stillhouse.kernels.team import claim, claims_of, share

ENCODING = "F8_E4M3"

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_INTS, _FLOATS = ir.VectorType(_I32, 16), ir.VectorType(ir.FloatType(), 16)


def _spans(columns: int, scale_columns: int) -> int:
    return -(-columns // scale_columns) if scale_columns else 1


def packed_bytes(rows: int, columns: int, scale_columns: int) -> int:
    """Size of a packed matrix with a scale for each ``scale_columns`` columns; 0: for all."""
    panel_bytes = PANEL_ROWS * (4 * _spans(columns, scale_columns) + columns)
    return -(-rows // PANEL_ROWS) * panel_bytes


def pack_panel(
    codes: npt.NDArray[np.uint8], scales: npt.NDArray[np.float32], out: npt.NDArray[np.uint8]
) -> None:
    """Pack up to sixteen rows into one zeroed panel: codes (rows, columns), scales (rows, spans).

    A code that is not a number reads as 480 here: the caller keeps those out.
    """
    rows, header_bytes = len(codes), scales.shape[1] * PANEL_ROWS * 4
    header = out[:header_bytes].view(np.float32).reshape(-1, PANEL_ROWS)
    header[:, :rows] = scales.T
    out[header_bytes:].reshape(-1, PANEL_ROWS)[:, :rows] = codes.T


@operation("i>v")
def load_e4m3_as_f32(builder: Any, address: Any) -> Any:
    """Sixteen codes to floats: right for all but the two that are not numbers.

    Sign, exponent and mantissa, moved to a float's places, are the value times 2^-120 (the biases
    are 7 and 127), and so are subnormals; one product undoes it.
    """
    bytes_ = load_as(builder, address, ir.VectorType(_I8, 16))
    moved = builder.shl(builder.sext(bytes_, _INTS), ir.Constant(_INTS, [20] * 16))
    # The sign was copied into all bits above; of those only the topmost stays.
    moved = builder.and_(moved, ir.Constant(_INTS, [0x87F00000] * 16))
    return builder.fmul(builder.bitcast(moved, _FLOATS), ir.Constant(_FLOATS, [2.0**120] * 16))


@intrinsic(prefer_literal=True)
def _block_add_chains(
    typing: Any, rows: Any, block: Any, first: Any, second: Any, third: Any, fourth: Any, scale: Any
) -> Any:
    """block + scale * ((first + second) + (third + fourth)), entry by entry; one scale a lane."""
    m = rows.literal_value
    kind = types.UniTuple(V16, m)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, totals, *chains, factors = values
        fused = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
        factors = builder.bitcast(factors, _FLOATS)
        for row in range(m):
            total, a, b, c, d = (
                builder.bitcast(builder.extract_value(entry, row), _FLOATS)
                for entry in (totals, *chains)
            )
            whole = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
            total = builder.call(fused, [whole, factors, total])
            totals = builder.insert_value(totals, builder.bitcast(total, _INTS), row)
        return totals

    return kind(rows, kind, kind, kind, kind, kind, V16), codegen


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(ROWS: int, SPAN: int, panel: int, spans: int, columns: int, x: int, row: int) -> Any:
    """``ROWS`` rows of x from ``row`` on, against one panel."""
    x += row * columns * 4
    codes = panel + spans * 64
    total = block_of(ROWS, simd.zeros())
    for span in range(spans):
        first = span * SPAN
        last = min(first + SPAN, columns) if SPAN > 0 else columns
        a = b = c = d = block_of(ROWS, simd.zeros())
        # Four chains, as one product can start in each half cycle and takes four.
        for column in range(first, last, 4):
            at, x_at, stride = codes + 16 * column, x + 4 * column, 4 * columns
            a = block_fma(ROWS, a, load_e4m3_as_f32(at), x_at, stride)
            b = block_fma(ROWS, b, load_e4m3_as_f32(at + 16), x_at + 4, stride)
            c = block_fma(ROWS, c, load_e4m3_as_f32(at + 32), x_at + 8, stride)
            d = block_fma(ROWS, d, load_e4m3_as_f32(at + 48), x_at + 12, stride)
        total = _block_add_chains(ROWS, total, a, b, c, d, simd.load(panel + 64 * span))
    return total


def make_matmul(isa: Isa, scale_columns: int) -> Any:
    """The kernel for any number of rows; ``scale_columns`` share a scale, 0: all. By fours."""
    ROWS, SPAN = 6 if isa >= Isa.AVX512_VNNI else 2, scale_columns

    def matmul(args: int, thread: int, threads: int) -> None:
        weights, panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        out, out_stride = simd.load_i64(args + 64), simd.load_i64(args + 72)
        accumulate, rows = simd.load_i64(args + 80), simd.load_i64(simd.load_i64(args + 88))
        spans = (columns + SPAN - 1) // SPAN if SPAN > 0 else 1
        fixed, step = claims_of(panels, threads)
        first, last = share(fixed, thread, threads)
        if first == last:
            first, last = claim(args, fixed, panels, step)
        while first < last:
            for number in range(first, last):
                panel = weights + number * (64 * spans + 16 * columns)
                row = 0
                while row + ROWS <= rows:
                    total = _multiply(ROWS, SPAN, panel, spans, columns, x, row)
                    target = out + row * out_stride + number * 64
                    block_store(ROWS, total, target, out_stride, accumulate)
                    row += ROWS
                while row < rows:
                    single = _multiply(1, SPAN, panel, spans, columns, x, row)
                    target = out + row * out_stride + number * 64
                    block_store(1, single, target, out_stride, accumulate)
                    row += 1
            first, last = claim(args, fixed, panels, step)

    return matmul
