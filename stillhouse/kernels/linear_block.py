"""y = W x for formats whose float scales stand for 16 or 32 columns (layouts B4 to B8, and WIDE).

As in ``linear_superblock``, up to eight rows of activations go through the packed weights together,
and a row's result has the same bits however many go with it:

    y = sum over groups of  (scale * x_scale) * dot - minimum * (x_scale * x sum)

with x scaled per 32 columns and the dots exact in int32. Arguments: see ``linear.LinearArguments``.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import (
    block_add_group,
    block_dot,
    block_dot_halves,
    block_minus_minimum,
    block_minus_sums,
    block_of,
    block_store,
    code_tables,
)
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, prefetch, rows_in_registers
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.team import claim, claims_of, share

SPAN = 32


@njit(inline="always", **NJIT_OPTIONS)
def _load_scales(WIDE: bool, address: int) -> Any:
    return simd.load(address) if WIDE else simd.load_f16_as_f32(address)


@njit(inline="always", **NJIT_OPTIONS)
def _add_group(
    ROWS: int, WIDE: bool, HAS_MINIMA: bool, y: Any, dots: Any, scales: int, minima: int,
    x_scales: int, scales_by: int, sums: int, sums_by: int,
) -> Any:  # fmt: skip
    y = block_add_group(ROWS, y, dots, _load_scales(WIDE, scales), x_scales, scales_by)
    if HAS_MINIMA:
        minimum = _load_scales(WIDE, minima)
        y = block_minus_minimum(ROWS, y, minimum, x_scales, scales_by, sums, sums_by)
    return y


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ROWS: int, ISA: int, FORM: int, GROUPS: int, RECORD: int, WIDE: bool, SCALE_BYTES: int,
    HAS_MINIMA: bool, MINIMA: int, CODES: int, SHIFT: int, NEAR: int, FAR: int, args: int,
    panel: int, row: int, end: int,
) -> int:  # fmt: skip
    """One panel times the rows from ``row`` on, ``ROWS`` at a time; returns the first row that is
    left.
    """
    columns, out_stride = simd.load_i64(args + 16), simd.load_i64(args + 72)
    records, scales_by, sums_by = columns // SPAN, columns // 8, columns // 8 * GROUPS
    while row + ROWS <= end:
        x, x_scales = simd.load_i64(args + 24) + row * columns, simd.load_i64(args + 32)
        x_scales += row * scales_by
        sums = simd.load_i64(args + 48) if GROUPS == 1 else simd.load_i64(args + 40)
        sums += row * sums_by
        record = simd.load_i64(args) + panel * records * RECORD
        y, tables = block_of(ROWS, simd.zeros()), code_tables(ISA, FORM)
        for _ in range(records):
            for line in range((RECORD + 63) // 64):
                if NEAR > 0:
                    simd.prefetch_l1(record + NEAR + 64 * line)
                if FAR > 0:
                    simd.prefetch_l2(record + FAR + 64 * line)
            dots = block_minus_sums(ROWS, SHIFT, sums, sums_by)
            if GROUPS == 1:
                dots = block_dot(ISA, FORM, ROWS, tables, dots, record + CODES, x, columns)
                y = _add_group(
                    ROWS, WIDE, HAS_MINIMA, y, dots, record, record + MINIMA, x_scales, scales_by,
                    sums, sums_by,
                )  # fmt: skip
            else:
                second = block_minus_sums(ROWS, SHIFT, sums + 4, sums_by)
                dots, second = block_dot_halves(
                    ISA, FORM, ROWS, tables, dots, second, record + CODES, x, columns
                )
                y = _add_group(
                    ROWS, WIDE, HAS_MINIMA, y, dots, record, record + MINIMA, x_scales, scales_by,
                    sums, sums_by,
                )  # fmt: skip
                y = _add_group(
                    ROWS, WIDE, HAS_MINIMA, y, second, record + SCALE_BYTES,
                    record + MINIMA + SCALE_BYTES, x_scales, scales_by, sums + 4, sums_by,
                )  # fmt: skip
            sums += 4 * GROUPS
            x, x_scales, record = x + SPAN, x_scales + 4, record + RECORD
        out = simd.load_i64(args + 64) + row * out_stride + panel * 64
        block_store(ROWS, y, out, out_stride, simd.load_i64(args + 80))
        row += ROWS
    return row


def make_matmul(isa: Isa, layout: Layout) -> Any:
    """The kernel for any number of rows."""
    ISA, FORM, GROUPS, RECORD = int(isa), layout.code_form, layout.groups, layout.record_bytes
    BITS, WIDE, SCALE_BYTES = layout.code_bits, layout.scale_bytes == 4, 16 * layout.scale_bytes
    HAS_MINIMA, MINIMA, CODES = layout.has_minima, layout.minima_at, layout.codes_at
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
                        8, ISA, FORM, GROUPS, RECORD, WIDE, SCALE_BYTES, HAS_MINIMA, MINIMA, CODES,
                        SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                    row = _multiply(
                        4, ISA, FORM, GROUPS, RECORD, WIDE, SCALE_BYTES, HAS_MINIMA, MINIMA, CODES,
                        SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                    )  # fmt: skip
                row = _multiply(
                    2, ISA, FORM, GROUPS, RECORD, WIDE, SCALE_BYTES, HAS_MINIMA, MINIMA, CODES,
                    SHIFT, NEAR_MANY, FAR_MANY, args, panel, row, rows,
                )  # fmt: skip
                row = _multiply(
                    1, ISA, FORM, GROUPS, RECORD, WIDE, SCALE_BYTES, HAS_MINIMA, MINIMA, CODES,
                    SHIFT, NEAR, FAR, args, panel, row, rows,
                )  # fmt: skip
            first, last = claim(args, fixed, panels, step)

    return matmul
