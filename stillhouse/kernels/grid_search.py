"""The nearest point of a grid, for 8 (or 4) numbers with a weight each: what the writers of the
grid formats ask over and over.

A grid's levels are the same for every coordinate, so rounding each number to its nearest level
gives the nearest point of all; where the grid has it, no weights can prefer another. Else every
point of the grid is looked at, for sixteen such searches side by side. A point's cost is the sum of
its two halves', and there are few different halves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS

# Rows of a superblock's float32 workspace of 256 columns. One more follows: points are copied
# sixteen numbers at a time, and the last ones reach into it.
VALUES, WEIGHTS, PRODUCTS, POINTS = range(4)
WORK_ROWS = 5

# Vectors of the room for sixteen searches: weights and products of their columns, costs of levels,
# pairs of coordinates and halves, of the best low half beside each high one, and the best high one.
_LANE_WEIGHTS, _LANE_PRODUCTS, _LEVELS, _PAIRS, _LOW, _HIGH = 0, 8, 16, 48, 66, 147
_BEST, _WHICH = 228, 309
ROOM_VECTORS = 310


class SearchTables(NamedTuple):
    """One grid. The first half of a point's columns is its low half, the rest its high half; a
    half's name is the number that its level indices spell, first coordinate least significant, and
    a whole point's likewise.
    """

    columns: int
    points: npt.NDArray[np.float32]
    """(n * columns + 16,): points one after the other, and filling."""
    levels: npt.NDArray[np.float32]
    """Three for points of eight, eight for points of four; ascending."""
    powers: npt.NDArray[np.int32]
    """(16,): what a level's index counts in a name, column by column, again and again."""
    named: npt.NDArray[np.int16]
    """The index of the point with that name, -1 where the grid has none."""
    high_names: npt.NDArray[np.int32]
    """(h,): the high halves that there are, those with fewest points first: so a processor foresees
    how long their lists are."""
    starts: npt.NDArray[np.int32]
    """(h + 1,): where the points with that high half begin in the next two."""
    low_names: npt.NDArray[np.int32]
    """(n,)."""
    indices: npt.NDArray[np.int16]
    """(n,)."""


def search_tables(grid: Callable[[], npt.NDArray[np.int8]]) -> SearchTables:
    points = grid().astype(np.float32)
    count, columns = points.shape
    levels = np.unique(points)
    powers = len(levels) ** np.arange(columns)
    names = np.searchsorted(levels, points) @ powers
    named = np.full(len(levels) ** columns, -1, np.int16)
    named[names] = np.arange(count)
    highs, lows = np.divmod(names, len(levels) ** (columns // 2))
    present, lengths = np.unique(highs, return_counts=True)
    shortest_first = np.argsort(lengths, kind="stable")
    place = np.empty(highs.max() + 1, int)
    place[present[shortest_first]] = np.arange(len(present))
    order = np.argsort(place[highs], kind="stable")
    return SearchTables(
        columns,
        np.append(points, np.zeros(16, np.float32)),
        levels,
        np.resize(powers, 16).astype(np.int32),
        named,
        present[shortest_first].astype(np.int32),
        np.append(0, lengths[shortest_first].cumsum()).astype(np.int32),
        lows[order].astype(np.int32),
        order.astype(np.int16),
    )


@simd.operation("vvvv>v")
def _select_less(builder: Any, x: Any, y: Any, if_less: Any, if_not: Any) -> Any:
    """Lane by lane: ``if_less`` where x < y."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    is_less = builder.fcmp_ordered("<", builder.bitcast(x, kind), builder.bitcast(y, kind))
    return builder.select(is_less, if_less, if_not)


@simd.operation("vv>v")
def _minimum(builder: Any, x: Any, y: Any) -> Any:
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    x, y = builder.bitcast(x, kind), builder.bitcast(y, kind)
    return builder.select(builder.fcmp_ordered("<", x, y), x, y)


def _sum_lanes_within(distances: tuple[int, ...]) -> Any:
    def emit(builder: Any, v: Any) -> Any:
        for distance in distances:
            across = [lane ^ distance for lane in range(simd.LANES)]
            kind = ir.VectorType(ir.IntType(32), simd.LANES)
            v = builder.add(v, builder.shuffle_vector(v, v, ir.Constant(kind, across)))
        return v

    return simd.operation("v>v")(emit)


_sum_fours = _sum_lanes_within((1, 2))
"""Integers; each lane has the sum of the four (eight) beside each other that it belongs to."""
_sum_eights = _sum_lanes_within((1, 2, 4))


@simd.operation("f>f")
def _to_half(builder: Any, x: Any) -> Any:
    return builder.fpext(builder.fptrunc(x, ir.HalfType()), ir.FloatType())


@njit(**NJIT_OPTIONS)
def nearest_half(x: float) -> np.float32:
    """The float16 nearest to a number, of the finite ones that are not 0."""
    half = _to_half(np.float32(min(max(abs(x), 2.0**-24), 65504.0)))
    return -half if x < 0 else half  # type: ignore[no-any-return]


@njit(**NJIT_OPTIONS)
def nearest_points(
    tables: SearchTables,
    scales: npt.NDArray[np.float32],
    work: npt.NDArray[np.float32],
    indices: npt.NDArray[np.int16],
    names: npt.NDArray[np.uint32],
    room: npt.NDArray[np.float32],
) -> None:
    """The nearest points of a superblock's VALUES over a scale for each group, by WEIGHTS: into
    ``indices``, and their coordinates into POINTS.

    ``work``: (WORK_ROWS, 256); ``names``: (256,); ``room``: (ROOM_VECTORS, 16), finite.
    """
    columns, size = tables.columns, 256 // scales.size
    at, row_bytes = work.ctypes.data, 4 * 256
    powers = simd.load(tables.powers.ctypes.data)
    for n in range(0, 256, 16):
        inverse = simd.splat_f32(np.float32(1) / scales[n // size])
        value = simd.mul(simd.load(at + 4 * n), inverse)
        product = simd.mul(simd.load(at + WEIGHTS * row_bytes + 4 * n), value)
        product = simd.mul(product, simd.splat_f32(np.float32(-2)))
        simd.store(at + PRODUCTS * row_bytes + 4 * n, product)
        name = simd.zeros()
        for k in range(tables.levels.size - 1):
            middle = np.float32(0.5) * (tables.levels[k] + tables.levels[k + 1])
            name = _select_less(simd.splat_f32(middle), value, simd.add_i32(name, powers), name)
        name = _sum_eights(name) if columns == 8 else _sum_fours(name)
        simd.store(names.ctypes.data + 4 * n, name)
    owners = np.empty(16, np.int64)
    waiting = 0
    for point in range(256 // columns):
        indices[point] = tables.named[names[columns * point]]
        if indices[point] < 0:
            source = at + WEIGHTS * row_bytes + 4 * columns * point
            lane = room.ctypes.data + 4 * waiting
            for n in range(columns):
                weight, product = source + 4 * n, source + (PRODUCTS - WEIGHTS) * row_bytes + 4 * n
                simd.store_f32(lane + 64 * (_LANE_WEIGHTS + n), simd.load_f32(weight))
                simd.store_f32(lane + 64 * (_LANE_PRODUCTS + n), simd.load_f32(product))
            owners[waiting] = point
            waiting += 1
            if waiting == 16:
                _search(tables, owners, indices, room)
                waiting = 0
    if waiting > 0:
        _search(tables, owners[:waiting], indices, room)
    for point in range(256 // columns):
        coordinates = simd.load(tables.points.ctypes.data + 4 * columns * indices[point])
        simd.store(at + POINTS * row_bytes + 4 * columns * point, coordinates)


@njit(**NJIT_OPTIONS)
def _sum_pairs(first: int, second: int, count: int, sums: int) -> None:
    """sums[i + count * j] = first[i] + second[j], vectors by their addresses."""
    for j in range(count):
        other = simd.load(second + 64 * j)
        for i in range(count):
            simd.store(sums + 64 * (i + count * j), simd.add(simd.load(first + 64 * i), other))


@njit(**NJIT_OPTIONS)
def _search(
    tables: SearchTables,
    owners: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int16],
    room: npt.NDArray[np.float32],
) -> None:
    """The points g with the least sum of g * (weight * g + product), for up to sixteen lanes of
    weights and products, -2 * weight * number; into the ``indices`` of their owners.
    """
    columns, levels = tables.columns, tables.levels.size
    at = room.ctypes.data
    for n in range(columns):
        weight = simd.load(at + 64 * (_LANE_WEIGHTS + n))
        product = simd.load(at + 64 * (_LANE_PRODUCTS + n))
        for k in range(levels):
            level = simd.splat_f32(tables.levels[k])
            cost = simd.mul(level, simd.fma(weight, level, product))
            simd.store(at + 64 * (_LEVELS + levels * n + k), cost)
    low, high, best_at = at + 64 * _LOW, at + 64 * _HIGH, at + 64 * _BEST
    cost_at = at + 64 * _LEVELS
    if columns == 4:
        _sum_pairs(cost_at, cost_at + 64 * 8, 8, low)
        _sum_pairs(cost_at + 64 * 16, cost_at + 64 * 24, 8, high)
    else:
        first, second = at + 64 * _PAIRS, at + 64 * (_PAIRS + 9)
        for half in range(2):
            _sum_pairs(cost_at + 768 * half, cost_at + 768 * half + 192, 3, first)
            _sum_pairs(cost_at + 768 * half + 384, cost_at + 768 * half + 576, 3, second)
            _sum_pairs(first, second, 9, low + half * 64 * (_HIGH - _LOW))
    # Of each high half the best low one; then in the list of the best high half, which it was.
    least, which = simd.splat_f32(np.float32(3e38)), simd.zeros()
    starts, lows = tables.starts.ctypes.data, tables.low_names.ctypes.data
    for half in range(tables.high_names.size):
        start, end = simd.load_i32(starts + 4 * half), simd.load_i32(starts + 4 * half + 4)
        best = simd.load(low + 64 * simd.load_i32(lows + 4 * start))
        for place in range(start + 1, end):
            best = _minimum(simd.load(low + 64 * simd.load_i32(lows + 4 * place)), best)
        cost = simd.add(best, simd.load(high + 64 * tables.high_names[half]))
        which = _select_less(cost, least, simd.splat_i32(half), which)
        least = _minimum(cost, least)
        simd.store(best_at + 64 * half, best)
    simd.store(at + 64 * _WHICH, which)
    for lane in range(owners.size):
        half = simd.load_i32(at + 64 * _WHICH + 4 * lane)
        best_low = simd.load_f32(best_at + 64 * half + 4 * lane)
        place = simd.load_i32(starts + 4 * half)
        while simd.load_f32(low + 64 * simd.load_i32(lows + 4 * place) + 4 * lane) != best_low:
            place += 1
        indices[owners[lane]] = tables.indices[place]
