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

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.encodings import i_quant_grids
from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import put_byte, put_float_as_half, put_half
from stillhouse.kernels.block_weights import weigh_block
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_search import (
    SearchTables,
    clip_to_steps,
    nearest_half,
    nearest_of_eight,
    nearest_of_four,
    search_tables,
)

_XXS2, _XS2, _S2, _XXS3, _S3 = range(5)
_TABLES_XXS2 = search_tables(i_quant_grids.iq2_xxs)
_TABLES_XS2 = search_tables(i_quant_grids.iq2_xs)
_TABLES_S2 = search_tables(i_quant_grids.iq2_s)
_TABLES_XXS3 = search_tables(i_quant_grids.iq3_xxs)
_TABLES_S3 = search_tables(i_quant_grids.iq3_s)

_TRIES = 9
_REFITS = 1
_ROUNDS = 3
_NEIGHBOURS = 2
_FIRST, _STEP = np.float32(0.75), np.float32(1.07)
_LARGEST_HALF = np.float32(65504)

# Rows of a superblock's float32 workspace of 256 columns.
_VALUES, _WEIGHTS, _LINEAR, _POINTS = range(4)


@njit(**NJIT_OPTIONS)
def _search(
    tables: SearchTables,
    work: npt.NDArray[np.float32],
    steps: npt.NDArray[np.int32],
    indices: npt.NDArray[np.int16],
    first: int,
    size: int,
    scale: np.float32,
) -> tuple[np.float32, np.float32]:
    """The nearest points of ``size`` numbers from the first on, at a scale: indices and
    coordinates into ``indices`` and ``work``. Returns the weighted sums of coordinate times value,
    and coordinate squared.
    """
    columns = tables.points.shape[1]
    row_bytes = 4 * 256
    at = work.ctypes.data + 4 * first
    twice = simd.splat_f32(np.float32(2) / scale)
    for n in range(0, size, 16):
        value = simd.mul(simd.load(at + 4 * n), twice)
        # Cut towards zero; what is below zero rounds to the lowest level, as zero does.
        simd.store(steps.ctypes.data + 4 * n, clip_to_steps(value))
        weight = simd.load(at + _WEIGHTS * row_bytes + 4 * n)
        linear = simd.sub(simd.zeros(), simd.mul(weight, value))
        simd.store(at + _LINEAR * row_bytes + 4 * n, linear)
    vectors = tables.lanes.shape[0]
    for start in range(0, size, columns):
        name = 0
        for n in range(columns):
            name += tables.places[n, steps[start + n]]
        index = int(tables.named[name])
        if index < 0:
            weights = at + _WEIGHTS * row_bytes + 4 * start
            linear_at = at + _LINEAR * row_bytes + 4 * start
            if columns == 8:
                index = nearest_of_eight(tables.lanes.ctypes.data, vectors, weights, linear_at)
            else:
                index = nearest_of_four(tables.lanes.ctypes.data, vectors, weights, linear_at)
        indices[start // columns] = index
        for n in range(columns):
            work[_POINTS, first + start + n] = tables.points[index, n]
    with_value, squared = simd.zeros(), simd.zeros()
    for n in range(0, size, 16):
        point = simd.load(at + _POINTS * row_bytes + 4 * n)
        weighted = simd.mul(point, simd.load(at + _WEIGHTS * row_bytes + 4 * n))
        with_value = simd.fma(weighted, simd.load(at + 4 * n), with_value)
        squared = simd.fma(weighted, point, squared)
    return simd.sum_lanes(with_value), simd.sum_lanes(squared)


@njit(**NJIT_OPTIONS)
def _suited_scale(
    tables: SearchTables,
    work: npt.NDArray[np.float32],
    steps: npt.NDArray[np.int32],
    indices: npt.NDArray[np.int16],
    first: int,
    size: int,
) -> np.float32:
    """The scale that leaves a group the least error, of those that were looked at."""
    largest = np.float32(0)
    for n in range(first, first + size):
        largest = max(largest, abs(work[_VALUES, n]))
    # Below this nothing would be left of the squares.
    if largest < np.float32(1e-12):
        return np.float32(0)
    scale = _FIRST * largest / tables.top
    best_gain, best = np.float32(0), np.float32(0)
    for _ in range(_TRIES):
        with_value, squared = _search(tables, work, steps, indices, first, size, scale)
        if with_value > 0 and with_value * with_value > best_gain * squared:
            best_gain, best = with_value * with_value / squared, with_value / squared
        scale *= _STEP
    for _ in range(_REFITS):
        if best > 0:
            with_value, squared = _search(tables, work, steps, indices, first, size, best)
            best = with_value / squared
    return best


@njit(**NJIT_OPTIONS)
def _choose_points(
    tables: SearchTables,
    work: npt.NDArray[np.float32],
    steps: npt.NDArray[np.int32],
    indices: npt.NDArray[np.int16],
    suited: npt.NDArray[np.float32],
    scales: npt.NDArray[np.int64],
    size: int,
    unit: np.float32,
    neighbours: bool,
) -> tuple[np.float32, np.float32]:
    """Fill ``scales`` and ``indices``, at a given unit. Returns the sums over the superblock of
    (2 * scale + 1) times coordinate times value, and of the square of the first two, weighted.
    """
    with_value, squared = np.float32(0), np.float32(0)
    a_group = size // tables.points.shape[1]
    trial = np.empty(8, np.int16)
    for group in range(256 // size):
        place = (suited[group] / unit - np.float32(1)) / np.float32(2)
        nearest = int(min(max(np.rint(place), np.float32(0)), np.float32(15)))
        if not neighbours:
            nearest = scales[group]
        best, best_value, best_squared = np.float32(3e38), np.float32(0), np.float32(0)
        for try_ in range(2 if neighbours else 1):
            scale = nearest
            if try_ == 1:
                scale = nearest + 1 if place > nearest else nearest - 1
                if scale < 0 or scale > 15:
                    continue
            multiple = np.float32(2 * scale + 1)
            value, square = _search(
                tables, work, steps, trial, size * group, size, unit * multiple
            )  # fmt: skip
            value, square = multiple * value, multiple * multiple * square
            left = unit * square - np.float32(2) * value
            if left < best:
                best, best_value, best_squared = left, value, square
                scales[group] = scale
                for n in range(a_group):
                    indices[a_group * group + n] = trial[n]
        with_value += best_value
        squared += best_squared
    return with_value, squared


@njit(**NJIT_OPTIONS)
def _sign_bytes(work: npt.NDArray[np.float32], signs: npt.NDArray[np.int64], even: bool) -> None:
    """Take the signs off the values: bits, the first number's lowest. ``even``: the minus signs of
    eight numbers must be even in number, and where they are not, the number takes the wrong sign
    that costs least by it.
    """
    for eight in range(32):
        bits, count, cheapest, least = 0, 0, 0, np.float32(3e38)
        for n in range(8):
            value = work[_VALUES, 8 * eight + n]
            if value < 0:
                bits |= 1 << n
                count += 1
                work[_VALUES, 8 * eight + n] = value = -value
            # 4 * weight * value * coordinate, and the smallest have the lowest coordinate.
            cost = work[_WEIGHTS, 8 * eight + n] * value
            if cost < least:
                cheapest, least = n, cost
        if even and count % 2:
            bits ^= 1 << cheapest
            work[_VALUES, 8 * eight + cheapest] *= np.float32(-1)
        signs[eight] = bits


@njit(**NJIT_OPTIONS)
def _encode(
    tables: SearchTables,
    kind: int,
    size: int,
    factor: float,
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    """``factor``: what a number is, over the float16, (2 * scale + 1) and the coordinate."""
    work = np.empty((4, 256), np.float32)
    steps = np.empty(32, np.int32)
    indices = np.empty(64, np.int16)
    suited = np.empty(256 // size, np.float32)
    scales = np.zeros(256 // size, np.int64)
    signs = np.empty(32, np.int64)
    num_blocks = values.shape[1] // 256
    block_bytes = blocks.shape[1] // num_blocks
    even = kind == _XXS2 or kind == _XS2 or kind == _XXS3
    for row in range(first, last):
        for block in range(num_blocks):
            out = blocks[row, block * block_bytes : (block + 1) * block_bytes]
            out[:] = 0
            unit = weigh_block(
                values[row, 256 * block : 256 * block + 256],
                importance[256 * block : 256 * block + 256],
                work[_VALUES],
                work[_WEIGHTS],
            )
            if unit == 0:
                continue
            _sign_bytes(work, signs, even)
            largest = np.float32(0)
            for group in range(256 // size):
                suited[group] = _suited_scale(tables, work, steps, indices, size * group, size)
                largest = max(largest, suited[group])
            half = nearest_half(largest / 31 * unit / factor)
            for round_ in range(_ROUNDS):
                # What a coordinate 1 at a multiple 1 is, of numbers divided by the block's unit.
                step = np.float32(half * factor / unit)
                with_value, squared = _choose_points(
                    tables, work, steps, indices, suited, scales, size, step, round_ < _NEIGHBOURS
                )
                if with_value <= 0:
                    break
                fitted = nearest_half(with_value / squared * unit / factor)
                if fitted == half:
                    break
                half = fitted
            if with_value > 0 and half * factor / unit * squared < 2 * with_value:
                put_float_as_half(out.ctypes.data, np.float32(half))
                _put_fields(kind, out.ctypes.data, indices, signs, scales)


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
    _encode(_TABLES_XXS2, _XXS2, 32, 0.125, values, importance, blocks, first, last)


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
    _encode(_TABLES_XXS3, _XXS3, 32, 0.25, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq3_s(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_S3, _S3, 32, 1.0, values, importance, blocks, first, last)
