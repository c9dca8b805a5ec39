"""Writing the formats whose numbers are points of a grid: IQ2 and IQ3.

A superblock of 256 numbers has a float16 and a scale of four bits for each 32 or 16 of them; a
number is ``unit * (2 * scale + 1) * coordinate``, where the float16 is `unit` times a constant.
First every group finds the real scale that suits it best: for each of a few, its nearest points,
and from these the error that the best scale for them leaves. Then the largest becomes scale 15, and
with `unit` known, each group chooses among the scales beside its own; `unit` is fitted to all
points by least squares, and the groups choose once more.

Field orders: ggml-common.h, structs block_iq2_xxs to block_iq3_s; see encodings/i_quants.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.encodings import i_quant_grids
from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import put_byte, put_float_as_half, put_half
from stillhouse.kernels.block_weights import weigh_block
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_search import (
    POINTS,
    ROOM_VECTORS,
    VALUES,
    WEIGHTS,
    WORK_ROWS,
    SearchTables,
    nearest_half,
    nearest_points,
    search_tables,
)

_XXS2, _XS2, _S2, _XXS3, _S3 = range(5)
_TABLES_XXS2 = search_tables(i_quant_grids.iq2_xxs)
_TABLES_XS2 = search_tables(i_quant_grids.iq2_xs)
_TABLES_S2 = search_tables(i_quant_grids.iq2_s)
_TABLES_XXS3 = search_tables(i_quant_grids.iq3_xxs)
_TABLES_S3 = search_tables(i_quant_grids.iq3_s)

_TRIES = 5
_REFITS = 1
_FIRST, _STEP = np.float32(0.80), np.float32(1.13)


class _Workspace(NamedTuple):
    """One superblock at work."""

    rows: npt.NDArray[np.float32]
    """(WORK_ROWS, 256): see `grid_search`."""
    names: npt.NDArray[np.uint32]
    room: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int16]
    signs: npt.NDArray[np.int64]
    """(32,): a bit for each of eight numbers, the first one's lowest."""
    scales: npt.NDArray[np.int64]
    """(groups,)."""
    suited: npt.NDArray[np.float32]
    """(groups,): the real scales that the groups would choose; 0 for nothing but zeros."""
    trial: npt.NDArray[np.float32]
    with_value: npt.NDArray[np.float32]
    """(groups,): weighted sum of coordinate times value at the scales of ``trial``."""
    squared: npt.NDArray[np.float32]
    """(groups,): and of the coordinate squared."""


@njit(**NJIT_OPTIONS)
def _workspace(groups: int) -> _Workspace:
    return _Workspace(
        np.zeros((WORK_ROWS, 256), np.float32),
        np.zeros(256, np.uint32),
        np.zeros((ROOM_VECTORS, 16), np.float32),
        np.zeros(64, np.int16),
        np.zeros(32, np.int64),
        np.zeros(groups, np.int64),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
    )


@njit(**NJIT_OPTIONS)
def _try_scales(tables: SearchTables, work: _Workspace, indices: npt.NDArray[np.int16]) -> None:
    """Fill ``indices``, and the sums of each group, at the scales of ``trial``."""
    nearest_points(tables, work.trial, work.rows, indices, work.names, work.room)
    size = 256 // work.trial.size
    for group in range(work.trial.size):
        at = work.rows.ctypes.data + 4 * size * group
        with_value, squared = simd.zeros(), simd.zeros()
        for n in range(0, size, 16):
            point = simd.load(at + 4 * (256 * POINTS + n))
            weighted = simd.mul(point, simd.load(at + 4 * (256 * WEIGHTS + n)))
            with_value = simd.fma(weighted, simd.load(at + 4 * n), with_value)
            squared = simd.fma(weighted, point, squared)
        work.with_value[group] = simd.sum_lanes(with_value)
        work.squared[group] = simd.sum_lanes(squared)


@njit(**NJIT_OPTIONS)
def _find_suited_scales(tables: SearchTables, work: _Workspace) -> None:
    """The scale that leaves each group the least error, of those that are looked at."""
    size = 256 // work.trial.size
    gains = np.zeros(work.trial.size, np.float32)
    for group in range(work.trial.size):
        largest = np.float32(0)
        for n in range(size * group, size * (group + 1)):
            largest = max(largest, abs(work.rows[VALUES, n]))
        work.suited[group] = 0
        work.trial[group] = _FIRST * largest / tables.levels[-1]
    for try_ in range(_TRIES + _REFITS):
        if try_ == _TRIES:
            work.trial[:] = work.suited
        for group in range(work.trial.size):
            # Below this nothing would be left of the squares.
            work.trial[group] = max(work.trial[group], np.float32(1e-12))
        _try_scales(tables, work, work.indices)
        for group in range(work.trial.size):
            value, squared = work.with_value[group], work.squared[group]
            if value > 0 and value * value >= gains[group] * squared:
                gains[group] = value * value / squared
                work.suited[group] = value / squared
            work.trial[group] *= _STEP


@njit(**NJIT_OPTIONS)
def _choose_scales(
    tables: SearchTables, work: _Workspace, unit: np.float32
) -> tuple[np.float32, np.float32]:
    """Fill ``scales`` and ``indices``, at a given unit: each group has the whole scale that is
    nearest to what suits it, or the next on its other side.

    Returns the sums over the superblock of (2 * scale + 1) times coordinate times value, and of the
    square of the first two, weighted.
    """
    groups, a_group = work.trial.size, 256 // work.trial.size // tables.columns
    places = (work.suited / unit - np.float32(1)) / np.float32(2)
    left = np.full(groups, np.float32(3e38), np.float32)
    sums = np.zeros((2, groups), np.float32)
    indices = np.empty(64, np.int16)
    tried = np.empty(groups, np.int64)
    for try_ in range(2):
        for group in range(groups):
            tried[group] = int(min(max(np.rint(places[group]), np.float32(0)), np.float32(15)))
            if try_ == 1:
                tried[group] += 1 if places[group] > tried[group] else -1
                tried[group] = min(max(tried[group], 0), 15)
            work.trial[group] = unit * np.float32(2 * tried[group] + 1)
        _try_scales(tables, work, indices)
        for group in range(groups):
            multiple = np.float32(2 * tried[group] + 1)
            value = multiple * work.with_value[group]
            squared = multiple * multiple * work.squared[group]
            if unit * squared - np.float32(2) * value < left[group]:
                left[group] = unit * squared - np.float32(2) * value
                sums[0, group], sums[1, group] = value, squared
                work.scales[group] = tried[group]
                for n in range(a_group * group, a_group * (group + 1)):
                    work.indices[n] = indices[n]
    return sums[0].sum(), sums[1].sum()


@njit(**NJIT_OPTIONS)
def _fit_points(
    tables: SearchTables, work: _Workspace, unit: np.float32
) -> tuple[np.float32, np.float32]:
    """As `_choose_scales`, with the scales as they are."""
    for group in range(work.trial.size):
        work.trial[group] = unit * np.float32(2 * work.scales[group] + 1)
    _try_scales(tables, work, work.indices)
    value, squared = np.float32(0), np.float32(0)
    for group in range(work.trial.size):
        multiple = np.float32(2 * work.scales[group] + 1)
        value += multiple * work.with_value[group]
        squared += multiple * multiple * work.squared[group]
    return value, squared


@njit(**NJIT_OPTIONS)
def _take_signs(work: _Workspace, even: bool) -> None:
    """Take the signs off the values. ``even``: the minus signs of eight numbers must be even in
    number, and where they are not, the number takes the wrong sign that costs least by it.
    """
    values = work.rows[VALUES]
    for eight in range(32):
        bits, count, cheapest, least = 0, 0, 0, np.float32(3e38)
        for n in range(8 * eight, 8 * eight + 8):
            if values[n] < 0:
                bits |= 1 << n % 8
                count += 1
                values[n] = -values[n]
            # 4 * weight * value * coordinate, and the smallest have the lowest coordinate.
            cost = work.rows[WEIGHTS, n] * values[n]
            if cost < least:
                cheapest, least = n, cost
        if even and count % 2:
            bits ^= 1 << cheapest % 8
            values[cheapest] = -values[cheapest]
        work.signs[eight] = bits


@njit(**NJIT_OPTIONS)
def _encode(
    tables: SearchTables,
    kind: int,
    groups: int,
    factor: float,
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    """``factor``: what a number is, over the float16, (2 * scale + 1) and the coordinate."""
    work = _workspace(groups)
    num_blocks = values.shape[1] // 256
    block_bytes = blocks.shape[1] // num_blocks
    even = kind == _XXS2 or kind == _XS2 or kind == _XXS3
    for row in range(first, last):
        for block in range(num_blocks):
            out = blocks[row, block * block_bytes : (block + 1) * block_bytes]
            out[:] = 0
            here = slice(256 * block, 256 * block + 256)
            unit = weigh_block(
                values[row, here], importance[here], work.rows[VALUES], work.rows[WEIGHTS]
            )
            if unit == 0:
                continue
            _take_signs(work, even)
            _find_suited_scales(tables, work)
            # What a coordinate of 1 at the multiple 1 stands for is the half times `step`, in
            # numbers that are divided by the block's unit.
            step = factor / unit
            half = nearest_half(work.suited.max() / 31 / step)
            value, squared = _choose_scales(tables, work, np.float32(half * step))
            for _ in range(_REFITS):
                if value > 0:
                    half = nearest_half(value / squared / step)
                    value, squared = _fit_points(tables, work, np.float32(half * step))
            # A subnormal half may be so far off that nothing is better: zero bytes mean zeros.
            if half * step * squared < 2 * value:
                put_float_as_half(out.ctypes.data, np.float32(half))
                _put_fields(kind, out.ctypes.data, work.indices, work.signs, work.scales)


@njit(**NJIT_OPTIONS)
def _put_fields(
    kind: int,
    out: int,
    indices: npt.NDArray[np.int16],
    signs: npt.NDArray[np.int64],
    scales: npt.NDArray[np.int64],
) -> None:
    """Everything of a zeroed block but its float16."""
    if kind == _XS2 or kind == _S2:
        at = out + (66 if kind == _XS2 else 74)
        for n in range(8):
            put_byte(at + n, scales[2 * n] | scales[2 * n + 1] << 4)
    elif kind == _S3:
        for n in range(4):
            put_byte(out + 106 + n, scales[2 * n] | scales[2 * n + 1] << 4)
    for chunk in range(8):
        word = scales[chunk] << 28
        for n in range(4):
            word |= (signs[4 * chunk + n] & 127) << 7 * n
        if kind == _XXS2:
            for n in range(4):
                put_byte(out + 2 + 8 * chunk + n, indices[4 * chunk + n])
            put_half(out + 6 + 8 * chunk, word)
            put_half(out + 8 + 8 * chunk, word >> 16)
        elif kind == _XS2:
            for n in range(4 * chunk, 4 * chunk + 4):
                put_half(out + 2 + 2 * n, indices[n] | (signs[n] & 127) << 9)
        elif kind == _S2:
            high = 0
            for n in range(4):
                index = indices[4 * chunk + n]
                put_byte(out + 2 + 4 * chunk + n, index)
                put_byte(out + 34 + 4 * chunk + n, signs[4 * chunk + n])
                high |= (index >> 8) << 2 * n
            put_byte(out + 66 + chunk, high)
        else:
            high = 0
            for n in range(8):
                index = indices[8 * chunk + n]
                put_byte(out + 2 + 8 * chunk + n, index)
                high |= (index >> 8) << n
            if kind == _XXS3:
                put_half(out + 66 + 4 * chunk, word)
                put_half(out + 68 + 4 * chunk, word >> 16)
            else:
                put_byte(out + 66 + chunk, high)
                for n in range(4):
                    put_byte(out + 74 + 4 * chunk + n, signs[4 * chunk + n])


@njit(**NJIT_OPTIONS)
def encode_iq2_xxs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XXS2, _XXS2, 8, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq2_xs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XS2, _XS2, 16, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq2_s(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_S2, _S2, 16, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq3_xxs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XXS3, _XXS3, 8, 0.25, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq3_s(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_S3, _S3, 8, 1.0, values, importance, blocks, first, last)
