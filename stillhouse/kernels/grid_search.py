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

STEPS = 128
"""Half-steps of rounding: twice a scaled number, cut to an integer below this."""

# Rows of a superblock's float32 workspace of 256 columns.
VALUES, WEIGHTS, PRODUCTS, POINTS = range(4)

# Vectors of the room for sixteen searches: weights and products of their columns, costs of levels
# and pairs of coordinates, costs of halves.
_LANE_WEIGHTS, _LANE_PRODUCTS, _LEVELS, _PAIRS, _LOW, _HIGH = 0, 8, 16, 48, 66, 147
ROOM_VECTORS = 228


class SearchTables(NamedTuple):
    """One grid. The first half of a point's columns is its low half, the rest its high half; a
    half's name is the number that its level indices spell, first coordinate least significant, and
    a whole point's likewise.
    """

    points: npt.NDArray[np.float32]
    """(n, columns)."""
    levels: npt.NDArray[np.float32]
    """Three for points of eight, eight for points of four; ascending."""
    places: npt.NDArray[np.int16]
    """(columns, STEPS): what a number, twice and cut to an integer, adds to the name of the point
    it rounds to."""
    named: npt.NDArray[np.int16]
    """The index of the point with that name, -1 where the grid has none."""
    lows: npt.NDArray[np.int16]
    """(n,): the name of each point's low half."""
    starts: npt.NDArray[np.int16]
    """For each high half's name, the first point that has it; and n."""


def search_tables(grid: Callable[[], npt.NDArray[np.int8]]) -> SearchTables:
    points = grid().astype(np.float32)
    count, columns = points.shape
    levels = np.unique(points)
    # Midpoints of levels are multiples of 1/2, so the number cut to half-steps rounds as exactly.
    digits = np.searchsorted((levels[1:] + levels[:-1]) / 2, np.arange(STEPS) / 2, side="right")
    powers = len(levels) ** np.arange(columns)
    names = np.searchsorted(levels, points) @ powers
    named = np.full(len(levels) ** columns, -1, np.int16)
    named[names] = np.arange(count)
    num_halves = len(levels) ** (columns // 2)
    return SearchTables(
        points,
        levels,
        (powers[:, np.newaxis] * digits).astype(np.int16),
        named,
        (names % num_halves).astype(np.int16),
        # Points ascend by their names, and so those with one high half are beside each other.
        np.searchsorted(names // num_halves, np.arange(num_halves + 1)).astype(np.int16),
    )


@simd.operation("vvvv>v")
def _select_less(builder: Any, x: Any, y: Any, if_less: Any, if_not: Any) -> Any:
    """Lane by lane: ``if_less`` where x < y."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    is_less = builder.fcmp_ordered("<", builder.bitcast(x, kind), builder.bitcast(y, kind))
    return builder.select(is_less, if_less, if_not)


@simd.operation("v>v")
def _clip_to_steps(builder: Any, v: Any) -> Any:
    """Floats cut to integers from 0 to STEPS - 1."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    x, zero = builder.bitcast(v, kind), ir.Constant(kind, [0.0] * simd.LANES)
    most = ir.Constant(kind, [STEPS - 1.0] * simd.LANES)
    x = builder.select(builder.fcmp_ordered(">", x, zero), x, zero)
    x = builder.select(builder.fcmp_ordered("<", x, most), x, most)
    return builder.fptosi(x, ir.VectorType(ir.IntType(32), simd.LANES))


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
    steps: npt.NDArray[np.int32],
    room: npt.NDArray[np.float32],
) -> None:
    """The nearest points of a superblock's VALUES over a scale for each group, by WEIGHTS: into
    ``indices``, and their coordinates into POINTS.

    ``steps``: (256,); ``room``: (ROOM_VECTORS, 16), finite.
    """
    columns, size = tables.points.shape[1], 256 // scales.size
    at, row_bytes = work.ctypes.data, 4 * 256
    for n in range(0, 256, 16):
        twice = simd.splat_f32(np.float32(2) / scales[n // size])
        value = simd.mul(simd.load(at + 4 * n), twice)
        # What is below zero rounds to the lowest level, as zero does.
        simd.store(steps.ctypes.data + 4 * n, _clip_to_steps(value))
        product = simd.mul(simd.load(at + WEIGHTS * row_bytes + 4 * n), value)
        simd.store(at + PRODUCTS * row_bytes + 4 * n, simd.sub(simd.zeros(), product))
    owners = np.empty(16, np.int64)
    waiting = 0
    for point in range(256 // columns):
        name = 0
        for n in range(columns):
            name += tables.places[n, steps[columns * point + n]]
        indices[point] = tables.named[name]
        if indices[point] < 0:
            for n in range(columns):
                room[_LANE_WEIGHTS + n, waiting] = work[WEIGHTS, columns * point + n]
                room[_LANE_PRODUCTS + n, waiting] = work[PRODUCTS, columns * point + n]
            owners[waiting] = point
            waiting += 1
            if waiting == 16:
                _search(tables, owners, indices, room)
                waiting = 0
    if waiting > 0:
        _search(tables, owners[:waiting], indices, room)
    for point in range(256 // columns):
        for n in range(columns):
            work[POINTS, columns * point + n] = tables.points[indices[point], n]


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
    columns, levels = tables.points.shape[1], tables.levels.size
    at = room.ctypes.data
    for n in range(columns):
        weight = simd.load(at + 64 * (_LANE_WEIGHTS + n))
        product = simd.load(at + 64 * (_LANE_PRODUCTS + n))
        for k in range(levels):
            level = simd.splat_f32(tables.levels[k])
            cost = simd.mul(level, simd.fma(weight, level, product))
            simd.store(at + 64 * (_LEVELS + levels * n + k), cost)
    low, high, cost_at = at + 64 * _LOW, at + 64 * _HIGH, at + 64 * _LEVELS
    if columns == 4:
        _sum_pairs(cost_at, cost_at + 64 * 8, 8, low)
        _sum_pairs(cost_at + 64 * 16, cost_at + 64 * 24, 8, high)
    else:
        first, second = at + 64 * _PAIRS, at + 64 * (_PAIRS + 9)
        for half in range(2):
            _sum_pairs(cost_at + 768 * half, cost_at + 768 * half + 192, 3, first)
            _sum_pairs(cost_at + 768 * half + 384, cost_at + 768 * half + 576, 3, second)
            _sum_pairs(first, second, 9, low + half * 64 * (_HIGH - _LOW))
    least, which = simd.splat_f32(np.float32(3e38)), simd.zeros()
    for half in range(tables.starts.size - 1):
        own = simd.load(high + 64 * half)
        for point in range(tables.starts[half], tables.starts[half + 1]):
            cost = simd.add(own, simd.load(low + 64 * tables.lows[point]))
            which = _select_less(cost, least, simd.splat_i32(point), which)
            least = _select_less(cost, least, cost, least)
    simd.store(at, which)
    for lane in range(owners.size):
        indices[owners[lane]] = simd.load_i32(at + 4 * lane)
