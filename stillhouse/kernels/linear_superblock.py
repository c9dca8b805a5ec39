"""y = W x for the K-quants: integer scales inside records of 256 columns (layouts K4, K5, K6).

One row (``matvec``) reads each packed weight once, in order. More rows (``matmul``) unpack two
panels into a buffer that stays in the thread's L2 cache, and use it for all rows. Both add the same
numbers in the same order, so a row's result has the same bits however many rows go with it:

    y = sum over records of  x_scale * (d * sum over groups of (scale * dot) - dmin * sum of
    (minimum * x sum))

with the dots exact in int32. Arguments: see ``linear.LinearArguments``.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.blocks import (
    block_add_record,
    block_add_scaled,
    block_dot,
    block_minus_sums,
    block_of,
    block_store,
)
from stillhouse.kernels.codes import dot_chunk, unpack_chunk
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, Prefetch
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.team import claim, claims_of, share

SPAN = 256
# An unpacked record: d and dmin as floats, the groups' scales as floats, minima as they were, code
# bytes.
_MINIMA_BYTES, _CODE_BYTES = 128, 4096


def unpacked_record_bytes(layout: Layout) -> int:
    return 128 + 64 * layout.groups + _MINIMA_BYTES + _CODE_BYTES


@njit(inline="always", **NJIT_OPTIONS)
def _minima_dot(ISA: int, minima: int, split_sums: int) -> Any:
    """Float sum of minimum * (sum of x in the group) over eight groups, exact: the sums come as 64
    hi + lo.
    """
    high = dot_chunk(ISA, 8, 0, 1, simd.zeros(), minima, split_sums)
    high = dot_chunk(ISA, 8, 0, 1, high, minima + 64, split_sums + 8)
    low = dot_chunk(ISA, 8, 0, 1, simd.zeros(), minima, split_sums + 4)
    low = dot_chunk(ISA, 8, 0, 1, low, minima + 64, split_sums + 12)
    return simd.to_f32(simd.add_i32(simd.shift_left(high, 6), low))


@njit(inline="always", **NJIT_OPTIONS)
def _panel_dot(
    ISA: int, BITS: int, GROUPS: int, RECORD: int, SCALES: int, MINIMA: int, CODES: int, CHUNK: int,
    HAS_MINIMA: bool, SHIFT: int, NEAR: int, FAR: int, record: int, records: int, x: int,
    x_scales: int, sums16: int, split_sums: int,
) -> Any:  # fmt: skip
    """One packed panel times one row of activations."""
    y = simd.zeros()
    lines = RECORD // 64
    for r in range(records):
        inner = simd.zeros()
        for chunk in range(8):
            at, x_at = record + CODES + chunk * CHUNK, x + r * SPAN + 32 * chunk
            for line in range(chunk * lines // 8, (chunk + 1) * lines // 8):
                if NEAR > 0:
                    simd.prefetch_l1(record + NEAR + 64 * line)
                if FAR > 0:
                    simd.prefetch_l2(record + FAR + 64 * line)
            if GROUPS == 8:
                dot = dot_chunk(ISA, BITS, 0, 8, simd.zeros(), at, x_at)
                scale = simd.load_u8_as_f32(record + SCALES + 16 * chunk)
                inner = simd.fma(simd.to_f32(dot), scale, inner)
            else:
                sums = sums16 + (r * 16 + 2 * chunk) * 4
                scales = record + SCALES + 32 * chunk
                start = simd.shift_left(simd.broadcast_load(sums), SHIFT)
                dot = dot_chunk(ISA, BITS, 0, 4, simd.sub_i32(simd.zeros(), start), at, x_at)
                inner = simd.fma(simd.to_f32(dot), simd.load_i8_as_f32(scales), inner)
                start = simd.shift_left(simd.broadcast_load(sums + 4), SHIFT)
                dot = dot_chunk(ISA, BITS, 4, 4, simd.sub_i32(simd.zeros(), start), at, x_at)
                inner = simd.fma(simd.to_f32(dot), simd.load_i8_as_f32(scales + 16), inner)
        inner = simd.mul(inner, simd.load_f16_as_f32(record))
        if HAS_MINIMA:
            lowest = _minima_dot(ISA, record + MINIMA, split_sums + 16 * r)
            inner = simd.sub(inner, simd.mul(simd.load_f16_as_f32(record + 32), lowest))
        y = simd.fma(inner, simd.broadcast_load(x_scales + 4 * r), y)
        record += RECORD
    return y


def make_matvec(isa: Isa, layout: Layout, ahead: Prefetch) -> Any:
    """The kernel for one row of activations, prefetching as far ``ahead``."""
    ISA, BITS, GROUPS, RECORD = int(isa), layout.code_bits, layout.groups, layout.record_bytes
    SCALES, MINIMA, CODES = layout.scales_at, layout.minima_at, layout.codes_at
    CHUNK, HAS_MINIMA, SHIFT = layout.chunk_bytes, layout.has_minima, layout.offset_shift
    NEAR, FAR = ahead.into_l1, ahead.into_l2

    def matvec(args: int, thread: int, threads: int) -> None:
        weights, panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        x_scales, sums16 = simd.load_i64(args + 32), simd.load_i64(args + 40)
        split_sums, out = simd.load_i64(args + 56), simd.load_i64(args + 64)
        accumulate = simd.load_i64(args + 80)
        records = columns // SPAN
        fixed, step = claims_of(panels, threads)
        first, last = share(fixed, thread, threads)
        if first == last:
            first, last = claim(args, fixed, panels, step)
        while first < last:
            for panel in range(first, last):
                y = _panel_dot(
                    ISA, BITS, GROUPS, RECORD, SCALES, MINIMA, CODES, CHUNK, HAS_MINIMA, SHIFT,
                    NEAR, FAR, weights + panel * records * RECORD, records, x, x_scales, sums16,
                    split_sums,
                )  # fmt: skip
                target = out + panel * 64
                if accumulate != 0:
                    y = simd.add(simd.load(target), y)
                simd.store(target, y)
            first, last = claim(args, fixed, panels, step)

    return matvec


@njit(inline="always", **NJIT_OPTIONS)
def _unpack(
    BITS: int, GROUPS: int, SIGNED: bool, HAS_MINIMA: bool, SCALES: int, MINIMA: int, CODES: int,
    CHUNK: int, record: int, out: int,
) -> None:  # fmt: skip
    simd.store(out, simd.load_f16_as_f32(record))
    for group in range(GROUPS):
        at = record + SCALES + 16 * group
        scale = simd.load_i8_as_f32(at) if SIGNED else simd.load_u8_as_f32(at)
        simd.store(out + 128 + _MINIMA_BYTES + 64 * group, scale)
    if HAS_MINIMA:
        simd.store(out + 64, simd.load_f16_as_f32(record + 32))
        simd.store(out + 128, simd.load(record + MINIMA))
        simd.store(out + 192, simd.load(record + MINIMA + 64))
    codes = out + 128 + _MINIMA_BYTES + 64 * GROUPS
    for chunk in range(8):
        unpack_chunk(BITS, record + CODES + chunk * CHUNK, codes + 512 * chunk)


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ISA: int, ROWS: int, PANELS: int, GROUPS: int, STEPS: int, HAS_MINIMA: bool, SHIFT: int,
    UNPACKED: int, weights: int, panel_stride: int, records: int, columns: int, row: int,
    x: int, x_scales: int, sums16: int, split_sums: int,
) -> Any:  # fmt: skip
    """A block of W x: ``ROWS`` rows of x from ``row`` on, against ``PANELS`` unpacked panels."""
    x += row * columns
    y = block_of(ROWS, PANELS, simd.zeros())
    for r in range(records):
        record = weights + r * UNPACKED
        codes = record + 128 + _MINIMA_BYTES + 64 * GROUPS
        inner = block_of(ROWS, PANELS, simd.zeros())
        for group in range(GROUPS):
            if SHIFT >= 0:
                sums = sums16 + ((row * columns + r * SPAN) // 16 + group) * 4
                dots = block_minus_sums(ROWS, PANELS, SHIFT, sums, columns // 4)
            else:
                dots = block_of(ROWS, PANELS, simd.zeros())
            dots = block_dot(
                ISA, ROWS, PANELS, STEPS, dots,
                codes + group * STEPS * 64, panel_stride, x + r * SPAN + group * STEPS * 4, columns,
            )  # fmt: skip
            scales = record + 128 + _MINIMA_BYTES + 64 * group
            inner = block_add_scaled(ROWS, PANELS, inner, dots, scales, panel_stride)
        y = block_add_record(
            ISA, ROWS, PANELS, HAS_MINIMA, y, inner, record, panel_stride,
            split_sums + (row * columns // SPAN + r) * 16, columns // 16,
            x_scales + (row * columns // SPAN + r) * 4, columns // 64,
        )  # fmt: skip
    return y


def make_matmul(isa: Isa, layout: Layout, rows: int, panels: int) -> Any:
    """The kernel for many rows: blocks of ``rows`` x ``panels`` accumulators, single rows at the
    end.
    """
    ISA, BITS, GROUPS, RECORD = int(isa), layout.code_bits, layout.groups, layout.record_bytes
    SCALES, MINIMA, CODES = layout.scales_at, layout.minima_at, layout.codes_at
    CHUNK, HAS_MINIMA, SHIFT = layout.chunk_bytes, layout.has_minima, layout.offset_shift
    SIGNED, ROWS, PANELS, STEPS = layout.signed_scales, rows, panels, layout.group // 4
    UNPACKED = unpacked_record_bytes(layout)

    def matmul(args: int, thread: int, threads: int) -> None:
        weights, num_panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x, x_scales = (
            simd.load_i64(args + 16), simd.load_i64(args + 24), simd.load_i64(args + 32),
        )  # fmt: skip
        sums16, split_sums = simd.load_i64(args + 40), simd.load_i64(args + 56)
        out, out_stride = simd.load_i64(args + 64), simd.load_i64(args + 72)
        accumulate, num_rows = simd.load_i64(args + 80), simd.load_i64(simd.load_i64(args + 88))
        scratch = simd.load_i64(args + 96) + thread * simd.load_i64(args + 104)
        records = columns // SPAN
        stride = records * UNPACKED
        blocks = (num_panels + PANELS - 1) // PANELS
        block, _ = claim(args, 0, blocks, 1)
        while block < blocks:
            panel = block * PANELS
            count = min(PANELS, num_panels - panel)
            for n in range(count * records):
                _unpack(
                    BITS, GROUPS, SIGNED, HAS_MINIMA, SCALES, MINIMA, CODES, CHUNK,
                    weights + (panel * records + n) * RECORD, scratch + n * UNPACKED,
                )  # fmt: skip
            row = 0
            while row + ROWS <= num_rows:
                y = _multiply(
                    ISA, ROWS, PANELS, GROUPS, STEPS, HAS_MINIMA, SHIFT, UNPACKED,
                    scratch, stride, records, columns, row, x, x_scales, sums16, split_sums,
                )  # fmt: skip
                target = out + row * out_stride + panel * 64
                block_store(ROWS, PANELS, y, target, out_stride, count, accumulate)
                row += ROWS
            while row < num_rows:
                single = _multiply(
                    ISA, 1, PANELS, GROUPS, STEPS, HAS_MINIMA, SHIFT, UNPACKED,
                    scratch, stride, records, columns, row, x, x_scales, sums16, split_sums,
                )  # fmt: skip
                target = out + row * out_stride + panel * 64
                block_store(1, PANELS, single, target, out_stride, count, accumulate)
                row += 1
            block, _ = claim(args, 0, blocks, 1)

    return matmul
