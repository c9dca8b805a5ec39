"""y = W x for many rows on matrix tiles: weights unpacked to bf16 once, activations bf16, sums
float32.

Serves every packed layout. A thread takes up to sixteen panels at a time and unpacks up to 2,048 of
their columns into tiles (sixteen column pairs by sixteen rows; 1 MiB in all, at home in an L2 cache
of 2 MiB), then lets all rows of activations pass, 32 rows and two panels to four tiles of sums.
Rows are worked on by 32, so ``x`` and ``out`` must have memory for the last 32. Arguments:
``linear.LinearArguments``, with ``x`` the address of bf16 rows and ``x_scales`` that of the tile
configuration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.amx import (
    TILE_BYTES,
    TILE_FILE_BYTES,
    tile_configure,
    tile_dot,
    tile_load,
    tile_store,
    tile_zero,
)
from stillhouse.kernels.codes import unpack_chunk
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import Layout
from stillhouse.kernels.scales import group_scale
from stillhouse.kernels.team import share

PANELS = 16
COLUMNS = 2048
_PANEL_BYTES = COLUMNS * 32
_CHUNK_CODES = 512


def scratch_bytes() -> int:
    """A thread's unpacked tiles, a chunk of codes, and the tiles in memory of levels without real
    ones.
    """
    return PANELS * _PANEL_BYTES + _CHUNK_CODES + TILE_FILE_BYTES


@njit(inline="always", **NJIT_OPTIONS)
def _group_scale(
    INTEGER: bool, SCALE_FORM: int, D_FACTOR: float, WIDE: bool, scales: int, record: int,
    group: int,
) -> Any:  # fmt: skip
    if INTEGER:
        d = simd.mul(simd.load_f16_as_f32(record), simd.splat_f32(D_FACTOR))
        return simd.mul(group_scale(SCALE_FORM, scales, group), d)
    return simd.load(scales + 64 * group) if WIDE else simd.load_f16_as_f32(scales + 32 * group)


@njit(inline="always", **NJIT_OPTIONS)
def _group_minimum(
    INTEGER: bool, HALVES: bool, WIDE: bool, minima: int, record: int, group: int
) -> Any:
    if INTEGER:
        if HALVES:
            eight = simd.load(minima + 64 * (group // 8))
            minimum = simd.shift_right(eight, 4 * (group % 8 // 2) + 16 * (group % 2))
            minimum = simd.and_constant(minimum, 15)
        else:
            four = simd.load(minima + 64 * (group // 4))
            minimum = simd.and_constant(simd.shift_right(four, 8 * (group % 4)), 255)
        return simd.mul(simd.to_f32(minimum), simd.load_f16_as_f32(record + 32))
    return simd.load(minima + 64 * group) if WIDE else simd.load_f16_as_f32(minima + 32 * group)


@njit(inline="always", **NJIT_OPTIONS)
def _fill_tile(codes: int, tile: int, first: int, last: int, scale: Any, minimum: Any) -> None:
    """Steps first to last (four columns each) of a chunk's bytes as bf16 pairs: scale * code -
    minimum.
    """
    for step in range(first, last):
        word = simd.load(codes + 64 * step)
        for pair in range(2):
            low = simd.and_constant(simd.shift_right(word, 16 * pair), 255)
            high = simd.and_constant(simd.shift_right(word, 16 * pair + 8), 255)
            low = simd.sub(simd.mul(simd.to_f32(low), scale), minimum)
            high = simd.sub(simd.mul(simd.to_f32(high), scale), minimum)
            simd.store(tile + 64 * (2 * step + pair), simd.pack_bf16(low, high))


@njit(inline="always", **NJIT_OPTIONS)
def _multiply(
    ISA: int, BOTH: bool, file: int, x: int, x_stride: int, tiles: int, count: int, out: int,
    out_stride: int, add: bool,
) -> None:  # fmt: skip
    """32 rows by two panels (one where not BOTH), over ``count`` tiles of 32 columns. Tiles 0 to 3:
    sums.
    """
    lower = out + 16 * out_stride
    if add:
        tile_load(ISA, 0, file, out, out_stride)
        tile_load(ISA, 2, file, lower, out_stride)
        if BOTH:
            tile_load(ISA, 1, file, out + 64, out_stride)
            tile_load(ISA, 3, file, lower + 64, out_stride)
    else:
        tile_zero(ISA, 0, file)
        tile_zero(ISA, 1, file)
        tile_zero(ISA, 2, file)
        tile_zero(ISA, 3, file)
    for n in range(count):
        tile_load(ISA, 4, file, x + 64 * n, x_stride)
        tile_load(ISA, 6, file, tiles + TILE_BYTES * n, 64)
        tile_dot(ISA, 0, 4, 6, file)
        if BOTH:
            tile_load(ISA, 7, file, tiles + _PANEL_BYTES + TILE_BYTES * n, 64)
            tile_dot(ISA, 1, 4, 7, file)
        tile_load(ISA, 5, file, x + 16 * x_stride + 64 * n, x_stride)
        tile_dot(ISA, 2, 5, 6, file)
        if BOTH:
            tile_dot(ISA, 3, 5, 7, file)
    tile_store(ISA, 0, file, out, out_stride)
    tile_store(ISA, 2, file, lower, out_stride)
    if BOTH:
        tile_store(ISA, 1, file, out + 64, out_stride)
        tile_store(ISA, 3, file, lower + 64, out_stride)


def make_matmul(isa: Isa, layout: Layout) -> Any:
    """The kernel for many rows. Below Isa.AMX the tiles are in memory: a specification, not for
    speed.
    """
    ISA, FORM, SPAN, RECORD = int(isa), layout.code_form, layout.span, layout.record_bytes
    SCALES, MINIMA, CODES = layout.scales_at, layout.minima_at, layout.codes_at
    CHUNK, HAS_MINIMA, SHIFT = layout.chunk_bytes, layout.has_minima, layout.offset_shift
    INTEGER, SCALE_FORM, WIDE = (
        layout.integer_scales,
        int(layout.scale_form),
        layout.scale_bytes == 4,
    )
    D_FACTOR, HALVES = np.float32(layout.d_factor), layout.scale_form.bits == 4
    PER_CHUNK, STEPS = 32 // layout.group, layout.group // 4

    def matmul(args: int, thread: int, threads: int) -> None:
        weights, panels = simd.load_i64(args), simd.load_i64(args + 8)
        columns, x = simd.load_i64(args + 16), simd.load_i64(args + 24)
        config = simd.load_i64(args + 32)
        out, out_stride = simd.load_i64(args + 64), simd.load_i64(args + 72)
        accumulate, rows = simd.load_i64(args + 80), simd.load_i64(simd.load_i64(args + 88))
        tiles = simd.load_i64(args + 96) + thread * simd.load_i64(args + 104)
        codes = tiles + PANELS * _PANEL_BYTES
        file = codes + _CHUNK_CODES
        tile_configure(ISA, config)
        first_pair, last_pair = share((panels + 1) // 2, thread, threads)
        last_panel = min(2 * last_pair, panels)
        for panel in range(2 * first_pair, last_panel, PANELS):
            count = min(PANELS, last_panel - panel)
            for start in range(0, columns, COLUMNS):
                width = min(COLUMNS, columns - start)
                for p in range(count):
                    record = weights + ((panel + p) * columns + start) // SPAN * RECORD
                    tile = tiles + p * _PANEL_BYTES
                    for _ in range(width // SPAN):
                        for chunk in range(SPAN // 32):
                            unpack_chunk(ISA, FORM, record + CODES + chunk * CHUNK, codes)
                            for part in range(PER_CHUNK):
                                group = chunk * PER_CHUNK + part
                                scale = _group_scale(
                                    INTEGER, SCALE_FORM, D_FACTOR, WIDE, record + SCALES,
                                    record, group,
                                )  # fmt: skip
                                minimum = simd.zeros()
                                if HAS_MINIMA:
                                    minimum = _group_minimum(
                                        INTEGER, HALVES, WIDE, record + MINIMA, record, group
                                    )
                                if SHIFT >= 0:
                                    offset = simd.to_f32(simd.splat_i32(1 << max(SHIFT, 0)))
                                    minimum = simd.fma(offset, scale, minimum)
                                _fill_tile(
                                    codes, tile, part * STEPS, (part + 1) * STEPS, scale, minimum
                                )
                            tile += TILE_BYTES
                        record += RECORD
                add = accumulate != 0 or start > 0
                for row in range(0, rows, 32):
                    at = x + 2 * (row * columns + start)
                    to = out + row * out_stride + panel * 64
                    for p in range(0, count, 2):
                        if p + 1 < count:
                            _multiply(
                                ISA, True, file, at, 2 * columns, tiles + p * _PANEL_BYTES,
                                width // 32, to + 64 * p, out_stride, add,
                            )  # fmt: skip
                        else:
                            _multiply(
                                ISA, False, file, at, 2 * columns, tiles + p * _PANEL_BYTES,
                                width // 32, to + 64 * p, out_stride, add,
                            )  # fmt: skip

    return matmul
