"""y = W x for formats with integer scales inside records of 256 columns: the K-quants
(layouts K2 to K6), IQ4_XS (N4) and the grids (G2XXS to G3S).

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

import numpy as np
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import (
    block_add_rows_scaled,
    block_add_scaled,
    block_dot,
    block_dot_halves,
    block_minus_minima,
    block_minus_sums,
    block_of,
    block_store,
    block_times,
    code_tables,
)
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, prefetch, rows_in_registers
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.scales import group_scale
from stillhouse.kernels.team import claim, claims_of, share

SPAN = 256


@njit(inline="always", **NJIT_OPTIONS)
def _record_dot(
    ISA: int, ROWS: int, FORM: int, GROUPS: int, SCALE_FORM: int, SCALES: int, CODES: int,
    CHUNK: int, SHIFT: int, LINES: int, NEAR: int, FAR: int, tables: Any, record: int, columns: int,
    x: int, sums: int,
) -> Any:  # fmt: skip
    """Sum over a record's groups of scale * dot, for each row of x; fetches what comes ``NEAR`` and
    ``FAR`` bytes behind it. ``sums``: those of the groups' x.
    """
    inner, scales = block_of(ROWS, simd.zeros()), record + SCALES
    sums_by = columns * GROUPS // 64
    for chunk in range(8):
        # A fixed number of lines, so that LLVM unrolls this; the last may be the next record's.
        for line in range(chunk * LINES, (chunk + 1) * LINES):
            if NEAR > 0:
                simd.prefetch_l1(record + NEAR + 64 * line)
            if FAR > 0:
                simd.prefetch_l2(record + FAR + 64 * line)
        codes, x_at = record + CODES + chunk * CHUNK, x + 32 * chunk
        if GROUPS == 8:
            dots = block_minus_sums(ROWS, SHIFT, sums + 4 * chunk, sums_by)
            dots = block_dot(ISA, FORM, ROWS, tables, dots, codes, x_at, columns)
            inner = block_add_scaled(ROWS, inner, dots, group_scale(SCALE_FORM, scales, chunk))
        else:
            dots = block_minus_sums(ROWS, SHIFT, sums + 8 * chunk, sums_by)
            second = block_minus_sums(ROWS, SHIFT, sums + 8 * chunk + 4, sums_by)
            dots, second = block_dot_halves(
                ISA, FORM, ROWS, tables, dots, second, codes, x_at, columns
            )
            scale = group_scale(SCALE_FORM, scales, 2 * chunk)
            inner = block_add_scaled(ROWS, inner, dots, scale)
            scale = group_scale(SCALE_FORM, scales, 2 * chunk + 1)
            inner = block_add_scaled(ROWS, inner, second, scale)
    return inner


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ROWS: int, ISA: int, FORM: int, GROUPS: int, RECORD: int, SCALE_FORM: int, SCALES: int,
    HAS_MINIMA: bool, MINIMA: int, CODES: int, CHUNK: int, SHIFT: int, D_FACTOR: float,
    NEAR: int, FAR: int, args: int, panel: int, row: int, end: int,
) -> int:  # fmt: skip
    """One panel times the rows from ``row`` on, ``ROWS`` at a time; returns the first row that is
    left.
    """
    columns, out_stride = simd.load_i64(args + 16), simd.load_i64(args + 72)
    records = columns // SPAN
    while row + ROWS <= end:
        at = row * columns
        x, x_scales = simd.load_i64(args + 24) + at, simd.load_i64(args + 32) + at // 64
        sums = simd.load_i64(args + 40) + at // 4
        minima_sums, minima_sums_bytes = sums, 64
        if GROUPS == 8:
            sums = simd.load_i64(args + 48) + at // 8
            minima_sums, minima_sums_bytes = simd.load_i64(args + 56) + at // 16, 16
        record = simd.load_i64(args) + panel * records * RECORD
        y, tables = block_of(ROWS, simd.zeros()), code_tables(ISA, FORM)
        for r in range(records):
            inner = _record_dot(
                ISA, ROWS, FORM, GROUPS, SCALE_FORM, SCALES, CODES, CHUNK, SHIFT,
                (RECORD + 511) // 512, NEAR, FAR, tables, record, columns, x + SPAN * r,
                sums + 4 * GROUPS * r,
            )  # fmt: skip
            # A power of two smaller than in the file: exact as floats, not always as halves.
            d = simd.mul(simd.load_f16_as_f32(record), simd.splat_f32(D_FACTOR))
            inner = block_times(ROWS, inner, d)
            if HAS_MINIMA:
                dmin = simd.load_f16_as_f32(record + 32)
                inner = block_minus_minima(
                    ISA, GROUPS, ROWS, inner, dmin, record + MINIMA,
                    minima_sums + minima_sums_bytes * r, records * minima_sums_bytes,
                )  # fmt: skip
            y = block_add_rows_scaled(ROWS, y, inner, x_scales + 4 * r, columns // 64)
            record += RECORD
        out = simd.load_i64(args + 64) + row * out_stride + panel * 64
        block_store(ROWS, y, out, out_stride, simd.load_i64(args + 80))
        row += ROWS
    return row


def make_matmul(isa: Isa, layout: Layout) -> Any:
    """The kernel for any number of rows."""
    ISA, FORM, GROUPS, RECORD = int(isa), layout.code_form, layout.groups, layout.record_bytes
    SCALE_FORM, SCALES, HAS_MINIMA = int(layout.scale_form), layout.scales_at, layout.has_minima
    BITS, D_FACTOR = layout.code_bits, np.float32(layout.d_factor)
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
                        8, ISA, FORM, GROUPS, RECORD, SCALE_FORM, SCALES, HAS_MINIMA, MINIMA,
                        CODES, CHUNK, SHIFT, D_FACTOR, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                    row = _multiply(
                        4, ISA, FORM, GROUPS, RECORD, SCALE_FORM, SCALES, HAS_MINIMA, MINIMA,
                        CODES, CHUNK, SHIFT, D_FACTOR, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                row = _multiply(
                    2, ISA, FORM, GROUPS, RECORD, SCALE_FORM, SCALES, HAS_MINIMA, MINIMA,
                    CODES, CHUNK, SHIFT, D_FACTOR, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                )  # fmt: skip
                row = _multiply(
                    1, ISA, FORM, GROUPS, RECORD, SCALE_FORM, SCALES, HAS_MINIMA, MINIMA,
                    CODES, CHUNK, SHIFT, D_FACTOR, NEAR, FAR, args, panel, row, rows,
                )  # fmt: skip
            first, last = claim(args, fixed, panels, step)

    return matmul
