"""y = W x for formats whose float scales stand for 16 or 32 columns (layouts B4 to B8, and WIDE).

As in ``linear_superblock``, one row reads packed weights and more rows unpack first; a row's result
has the same bits either way:

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
    block_minus_sums,
    block_of,
    block_store,
)
from stillhouse.kernels.codes import dot_chunk, unpack_chunk
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa, Prefetch
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.team import claim, claims_of, share

SPAN = 32


def unpacked_record_bytes(layout: Layout) -> int:
    """Scales and minima as floats, then the codes as bytes."""
    return layout.groups * 128 + 512


@njit(inline="always", **NJIT_OPTIONS)
def _load_scales(WIDE: bool, address: int) -> Any:
    return simd.load(address) if WIDE else simd.load_f16_as_f32(address)


@njit(inline="always", **NJIT_OPTIONS)
def _panel_dot(
    ISA: int, BITS: int, GROUPS: int, RECORD: int, MINIMA: int, CODES: int, HAS_MINIMA: bool,
    SHIFT: int, STEPS: int, WIDE: bool, SCALE_BYTES: int, NEAR: int, FAR: int, record: int,
    records: int, x: int, x_scales: int, sums: int,
) -> Any:  # fmt: skip
    """One packed panel times one row of activations."""
    y = simd.zeros()
    for r in range(records):
        for line in range((RECORD + 63) // 64):
            if NEAR > 0:
                simd.prefetch_l1(record + NEAR + 64 * line)
            if FAR > 0:
                simd.prefetch_l2(record + FAR + 64 * line)
        x_scale = simd.broadcast_load(x_scales + 4 * r)
        for group in range(GROUPS):
            x_sum = simd.broadcast_load(sums + 4 * (r * GROUPS + group))
            start = simd.zeros()
            if SHIFT >= 0:
                start = simd.sub_i32(start, simd.shift_left(x_sum, SHIFT))
            if group == 0:
                dot = dot_chunk(ISA, BITS, 0, STEPS, start, record + CODES, x + 32 * r)
            else:
                dot = dot_chunk(ISA, BITS, 4, 4, start, record + CODES, x + 32 * r)
            scale = _load_scales(WIDE, record + SCALE_BYTES * group)
            y = simd.fma(simd.to_f32(dot), simd.mul(scale, x_scale), y)
            if HAS_MINIMA:
                minimum = _load_scales(WIDE, record + MINIMA + SCALE_BYTES * group)
                y = simd.sub(y, simd.mul(minimum, simd.mul(x_scale, simd.to_f32(x_sum))))
        record += RECORD
    return y


def make_matvec(isa: Isa, layout: Layout, ahead: Prefetch) -> Any:
    """The kernel for one row of activations, prefetching as far ``ahead``."""
    ISA, BITS, GROUPS, RECORD = int(isa), layout.code_bits, layout.groups, layout.record_bytes
    MINIMA, CODES, HAS_MINIMA = layout.minima_at, layout.codes_at, layout.has_minima
    SHIFT, STEPS, WIDE = layout.offset_shift, layout.group // 4, layout.scale_bytes == 4
    SCALE_BYTES, NEAR, FAR = 16 * layout.scale_bytes, ahead.into_l1, ahead.into_l2

    def matvec(args: int, thread: int, threads: int) -> None:
        weights, panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        x_scales = simd.load_i64(args + 32)
        sums = simd.load_i64(args + 48) if GROUPS == 1 else simd.load_i64(args + 40)
        out, accumulate = simd.load_i64(args + 64), simd.load_i64(args + 80)
        records = columns // SPAN
        fixed, step = claims_of(panels, threads)
        first, last = share(fixed, thread, threads)
        if first == last:
            first, last = claim(args, fixed, panels, step)
        while first < last:
            for panel in range(first, last):
                y = _panel_dot(
                    ISA, BITS, GROUPS, RECORD, MINIMA, CODES, HAS_MINIMA, SHIFT, STEPS, WIDE,
                    SCALE_BYTES, NEAR, FAR, weights + panel * records * RECORD, records, x,
                    x_scales, sums,
                )  # fmt: skip
                target = out + panel * 64
                if accumulate != 0:
                    y = simd.add(simd.load(target), y)
                simd.store(target, y)
            first, last = claim(args, fixed, panels, step)

    return matvec


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ISA: int, ROWS: int, PANELS: int, GROUPS: int, STEPS: int, HAS_MINIMA: bool, SHIFT: int,
    UNPACKED: int, weights: int, panel_stride: int, records: int, columns: int, row: int,
    x: int, x_scales: int, sums: int,
) -> Any:  # fmt: skip
    """A block of W x: ``ROWS`` rows of x from ``row`` on, against ``PANELS`` unpacked panels."""
    x += row * columns
    sums_stride = columns // SPAN * GROUPS * 4
    y = block_of(ROWS, PANELS, simd.zeros())
    for r in range(records):
        record = weights + r * UNPACKED
        for group in range(GROUPS):
            at = sums + row * sums_stride + (r * GROUPS + group) * 4
            if SHIFT >= 0:
                dots = block_minus_sums(ROWS, PANELS, SHIFT, at, sums_stride)
            else:
                dots = block_of(ROWS, PANELS, simd.zeros())
            dots = block_dot(
                ISA, ROWS, PANELS, STEPS, dots,
                record + GROUPS * 128 + group * 256, panel_stride,
                x + r * SPAN + group * 16, columns,
            )  # fmt: skip
            y = block_add_group(
                ROWS, PANELS, HAS_MINIMA, y, dots, record + 128 * group, panel_stride,
                x_scales + (row * columns // SPAN + r) * 4, columns // 8, at, sums_stride,
            )  # fmt: skip
    return y


def make_matmul(isa: Isa, layout: Layout, rows: int, panels: int) -> Any:
    """The kernel for many rows: blocks of ``rows`` x ``panels`` accumulators, single rows at the
    end.
    """
    ISA, BITS, GROUPS, RECORD = int(isa), layout.code_bits, layout.groups, layout.record_bytes
    MINIMA, CODES, HAS_MINIMA = layout.minima_at, layout.codes_at, layout.has_minima
    SHIFT, STEPS, WIDE = layout.offset_shift, layout.group // 4, layout.scale_bytes == 4
    SCALE_BYTES, ROWS, PANELS = 16 * layout.scale_bytes, rows, panels
    UNPACKED = unpacked_record_bytes(layout)

    def matmul(args: int, thread: int, threads: int) -> None:
        weights, num_panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        x_scales = simd.load_i64(args + 32)
        sums = simd.load_i64(args + 48) if GROUPS == 1 else simd.load_i64(args + 40)
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
                record = weights + (panel * records + n) * RECORD
                unpacked = scratch + n * UNPACKED
                for group in range(GROUPS):
                    at = unpacked + 128 * group
                    simd.store(at, _load_scales(WIDE, record + SCALE_BYTES * group))
                    if HAS_MINIMA:
                        minimum = _load_scales(WIDE, record + MINIMA + SCALE_BYTES * group)
                        simd.store(at + 64, minimum)
                unpack_chunk(BITS, record + CODES, unpacked + 128 * GROUPS)
            row = 0
            while row + ROWS <= num_rows:
                y = _multiply(
                    ISA, ROWS, PANELS, GROUPS, STEPS, HAS_MINIMA, SHIFT, UNPACKED,
                    scratch, stride, records, columns, row, x, x_scales, sums,
                )  # fmt: skip
                target = out + row * out_stride + panel * 64
                block_store(ROWS, PANELS, y, target, out_stride, count, accumulate)
                row += ROWS
            while row < num_rows:
                single = _multiply(
                    ISA, 1, PANELS, GROUPS, STEPS, HAS_MINIMA, SHIFT, UNPACKED,
                    scratch, stride, records, columns, row, x, x_scales, sums,
                )  # fmt: skip
                target = out + row * out_stride + panel * 64
                block_store(1, PANELS, single, target, out_stride, count, accumulate)
                row += 1
            block, _ = claim(args, 0, blocks, 1)

    return matmul
