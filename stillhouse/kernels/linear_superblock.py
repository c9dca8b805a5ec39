"""y = W x for the K-quants: integer scales inside records of 256 columns (layouts K4, K5, K6).

Up to eight rows of activations go through the packed weights together: a code is taken out of its
bits in a register and multiplied with all of them. One row or two read weights at memory speed,
eight keep the dot products busy while the next weights arrive; the weights of more rows come from
the thread's cache. A row's result has the same bits however many rows go with it:

    y = sum over records of  x_scale * (d * sum over groups of (scale * dot) - dmin * sum of
    (minimum * x sum))

with the dots exact in int32. Arguments: see ``linear.LinearArguments``.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import (
    block_add_rows_scaled,
    block_add_scaled,
    block_dot,
    block_minus_minima,
    block_minus_sums,
    block_of,
    block_store,
    block_times,
)
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, prefetch, rows_in_registers
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.team import claim, claims_of, share

SPAN = 256


@njit(inline="always", **NJIT_OPTIONS)
def _record_dot(
    ISA: int, ROWS: int, BITS: int, GROUPS: int, SCALES: int, SIGNED: bool, CODES: int, CHUNK: int,
    SHIFT: int, LINES: int, NEAR: int, FAR: int, record: int, columns: int, x: int, sums16: int,
) -> Any:  # fmt: skip
    """Sum over a record's groups of scale * dot, for each row of x; fetches what comes ``NEAR`` and
    ``FAR`` bytes behind it.
    """
    inner = block_of(ROWS, simd.zeros())
    for chunk in range(8):
        for line in range(chunk * LINES // 8, (chunk + 1) * LINES // 8):
            if NEAR > 0:
                simd.prefetch_l1(record + NEAR + 64 * line)
            if FAR > 0:
                simd.prefetch_l2(record + FAR + 64 * line)
        codes, x_at = record + CODES + chunk * CHUNK, x + 32 * chunk
        scales = record + SCALES + chunk * 2 * GROUPS
        if GROUPS == 8:
            dots = block_of(ROWS, simd.zeros())
            dots = block_dot(ISA, BITS, ROWS, 0, 8, dots, codes, x_at, columns)
            inner = block_add_scaled(ROWS, inner, dots, simd.load_u8_as_f32(scales))
        else:
            sums = sums16 + 8 * chunk
            dots = block_minus_sums(ROWS, SHIFT, sums, columns // 4)
            dots = block_dot(ISA, BITS, ROWS, 0, 4, dots, codes, x_at, columns)
            scale = simd.load_i8_as_f32(scales) if SIGNED else simd.load_u8_as_f32(scales)
            inner = block_add_scaled(ROWS, inner, dots, scale)
            dots = block_minus_sums(ROWS, SHIFT, sums + 4, columns // 4)
            dots = block_dot(ISA, BITS, ROWS, 4, 4, dots, codes, x_at, columns)
            scales += 16
            scale = simd.load_i8_as_f32(scales) if SIGNED else simd.load_u8_as_f32(scales)
            inner = block_add_scaled(ROWS, inner, dots, scale)
    return inner


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ROWS: int, ISA: int, BITS: int, GROUPS: int, RECORD: int, SCALES: int, SIGNED: bool,
    HAS_MINIMA: bool, MINIMA: int, CODES: int, CHUNK: int, SHIFT: int, NEAR: int, FAR: int,
    args: int, panel: int, row: int, end: int,
) -> int:  # fmt: skip
    """One panel times the rows from ``row`` on, ``ROWS`` at a time; returns the first row that is
    left.
    """
    columns, out_stride = simd.load_i64(args + 16), simd.load_i64(args + 72)
    records = columns // SPAN
    while row + ROWS <= end:
        at = row * columns
        x, x_scales = simd.load_i64(args + 24) + at, simd.load_i64(args + 32) + at // 64
        sums16, split_sums = simd.load_i64(args + 40) + at // 4, simd.load_i64(args + 56) + at // 16
        record = simd.load_i64(args) + panel * records * RECORD
        y = block_of(ROWS, simd.zeros())
        for r in range(records):
            inner = _record_dot(
                ISA, ROWS, BITS, GROUPS, SCALES, SIGNED, CODES, CHUNK, SHIFT, RECORD // 64, NEAR,
                FAR, record, columns, x + SPAN * r, sums16 + 64 * r,
            )  # fmt: skip
            inner = block_times(ROWS, inner, simd.load_f16_as_f32(record))
            if HAS_MINIMA:
                dmin = simd.load_f16_as_f32(record + 32)
                inner = block_minus_minima(
                    ISA, ROWS, inner, dmin, record + MINIMA, split_sums + 16 * r, columns // 16
                )
            y = block_add_rows_scaled(ROWS, y, inner, x_scales + 4 * r, columns // 64)
            record += RECORD
        out = simd.load_i64(args + 64) + row * out_stride + panel * 64
        block_store(ROWS, y, out, out_stride, simd.load_i64(args + 80))
        row += ROWS
    return row


def make_matmul(isa: Isa, layout: Layout) -> Any:
    """The kernel for any number of rows."""
    ISA, BITS, GROUPS, RECORD = int(isa), layout.code_bits, layout.groups, layout.record_bytes
    SCALES, SIGNED, HAS_MINIMA = layout.scales_at, layout.signed_scales, layout.has_minima
    MINIMA, CODES, CHUNK = layout.minima_at, layout.codes_at, layout.chunk_bytes
    SHIFT, EIGHT_ROWS = layout.offset_shift, rows_in_registers(isa) == 8
    (NEAR, FAR), (NEAR_MANY, FAR_MANY) = prefetch(BITS), prefetch(BITS, many_rows=True)

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
                    row = _multiply(
                        8, ISA, BITS, GROUPS, RECORD, SCALES, SIGNED, HAS_MINIMA, MINIMA, CODES,
                        CHUNK, SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                    row = _multiply(
                        4, ISA, BITS, GROUPS, RECORD, SCALES, SIGNED, HAS_MINIMA, MINIMA, CODES,
                        CHUNK, SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                row = _multiply(
                    2, ISA, BITS, GROUPS, RECORD, SCALES, SIGNED, HAS_MINIMA, MINIMA, CODES, CHUNK,
                    SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                )  # fmt: skip
                row = _multiply(
                    1, ISA, BITS, GROUPS, RECORD, SCALES, SIGNED, HAS_MINIMA, MINIMA, CODES, CHUNK,
                    SHIFT, NEAR, FAR, args, panel, row, rows,
                )  # fmt: skip
            first, last = claim(args, fixed, panels, step)

    return matmul
