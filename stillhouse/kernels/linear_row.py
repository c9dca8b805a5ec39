"""y = W x for int8 weights with one scale a row, and activations with one scale a row (layout C8).

    y = scale * x_scale * (sum of code * x  -  offset * sum of x)

Codes are unsigned bytes, 128 more than in the file; ``offset`` is 128 and the row's zero point.
The dots are exact in int32 over a whole row, so a row's result has the same bits alone and in any
batch. A panel:

    float32 scales[16] | int32 offsets[16] | code chunks of 32 columns

Arguments: see ``linear.LinearArguments``; ``x_scales`` and ``sums32`` have one number a row. There
is no kernel on matrix tiles yet: processors that have them use this one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import block_dot, block_of, block_store, code_tables
from stillhouse.kernels.codes import offset_by
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, prefetch, rows_in_registers
from stillhouse.kernels.layouts import C8, CHUNK, PANEL_ROWS
from stillhouse.kernels.simd import V16, load_as, splat
from stillhouse.kernels.team import claim, claims_of, share

# |code - offset| is up to 255 and |x| up to 128: their sum over a row has to stay below 2^31.
MAX_COLUMNS = (2**31 - 1) // (255 * 128)

_I32, _F32 = ir.IntType(32), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_I32, 16), ir.VectorType(_F32, 16)
_HEADER, _CHUNK_BYTES = C8.codes_at, C8.chunk_bytes


def pack_panel(
    codes: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
    zero_points: npt.NDArray[np.int8] | None,
    out: npt.NDArray[np.uint8],
) -> None:
    """Pack up to sixteen rows into one zeroed panel.

    ``codes``: (rows, columns); ``scales``, ``zero_points``: (rows, 1), w = (code - zero) * scale.
    """
    rows = len(codes)
    out[:64].view(np.float32)[:rows] = scales[:, 0]
    offsets = out[64:_HEADER].view(np.int32)
    offsets[:rows] = 128
    if zero_points is not None:
        offsets[:rows] += zero_points[:, 0]
    # Flipping the top bit of a signed byte adds 128 to it.
    lanes = np.ascontiguousarray(codes.view(np.uint8) ^ np.uint8(0x80)).view(np.uint32)
    out[_HEADER:].view(np.uint32).reshape(-1, PANEL_ROWS)[:, :rows] = lanes.T


@intrinsic(prefer_literal=True)
def _block_scaled(typing: Any, rows: Any, dots: Any, header: Any, x_scales: Any, sums: Any) -> Any:
    """scale * x_scale * (dot - offset * sum), with one float32 x_scale and int32 sum a row."""
    count = rows.literal_value
    kind = types.UniTuple(V16, count)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, block, header_at, scales_at, sums_at = values
        scale = load_as(builder, header_at, _FLOATS)
        offset = load_as(builder, offset_by(builder, header_at, 64), _INTS)
        for row in range(count):
            x_sum = splat(
                builder, load_as(builder, offset_by(builder, sums_at, 4 * row), _I32), _INTS
            )
            at = offset_by(builder, scales_at, 4 * row)
            x_scale = splat(builder, load_as(builder, at, _F32), _FLOATS)
            dot = builder.extract_value(block, row)
            dot = builder.sub(dot, builder.mul(offset, x_sum))
            value = builder.fmul(builder.sitofp(dot, _FLOATS), builder.fmul(scale, x_scale))
            block = builder.insert_value(block, builder.bitcast(value, _INTS), row)
        return block

    return kind(rows, kind, *[types.int64] * 3), codegen


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ROWS: int, ISA: int, NEAR: int, FAR: int, args: int, panel: int, row: int, end: int
) -> int:
    """One panel times the rows from ``row`` on, ``ROWS`` at a time; returns the first row that is
    left.
    """
    columns, out_stride = simd.load_i64(args + 16), simd.load_i64(args + 72)
    chunks = columns // CHUNK
    header = simd.load_i64(args) + panel * (_HEADER + chunks * _CHUNK_BYTES)
    while row + ROWS <= end:
        x = simd.load_i64(args + 24) + row * columns
        codes = header + _HEADER
        dots = block_of(ROWS, simd.zeros())
        for _ in range(chunks):
            for line in range(_CHUNK_BYTES // 64):
                if NEAR > 0:
                    simd.prefetch_l1(codes + NEAR + 64 * line)
                if FAR > 0:
                    simd.prefetch_l2(codes + FAR + 64 * line)
            dots = block_dot(ISA, 8, ROWS, code_tables(ISA, 8), dots, codes, x, columns)
            codes, x = codes + _CHUNK_BYTES, x + CHUNK
        x_scales, sums = simd.load_i64(args + 32) + 4 * row, simd.load_i64(args + 48) + 4 * row
        y = _block_scaled(ROWS, dots, header, x_scales, sums)
        out = simd.load_i64(args + 64) + row * out_stride + panel * 64
        block_store(ROWS, y, out, out_stride, simd.load_i64(args + 80))
        row += ROWS
    return row


def make_matmul(isa: Isa) -> Any:
    """The kernel for any number of rows."""
    ISA, EIGHT_ROWS = int(isa), rows_in_registers(isa) == 8
    (NEAR, FAR), (NEAR_MANY, FAR_MANY) = prefetch(8), prefetch(8, many_rows=True)

    def matmul(args: int, thread: int, threads: int) -> None:
        panels, rows = simd.load_i64(args + 8), simd.load_i64(simd.load_i64(args + 88))
        fixed, step = claims_of(panels, threads)
        first, last = share(fixed, thread, threads)
        if first == last:
            first, last = claim(args, fixed, panels, step)
        while first < last:
            for panel in range(first, last):
                row = 0
                if EIGHT_ROWS:
                    row = _multiply(8, ISA, NEAR_MANY, FAR_MANY, args, panel, row, rows)
                    row = _multiply(4, ISA, NEAR_MANY, FAR_MANY, args, panel, row, rows)
                row = _multiply(2, ISA, NEAR_MANY, FAR_MANY, args, panel, row, rows)
                row = _multiply(1, ISA, NEAR, FAR, args, panel, row, rows)
            first, last = claim(args, fixed, panels, step)

    return matmul
