"""The nearest point of a grid, for 8 (or 4) numbers with a weight each: what the writers of the
grid formats ask over and over.

A grid's levels are the same for every coordinate, so rounding each number to its nearest level
gives the nearest point of all; where the grid has it, no weights can prefer another. Else every
point of the grid is looked at, sixteen at a time.
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


class SearchTables(NamedTuple):
    """One grid. Half a point's columns are its low half, the rest its high half; a half's name is
    the number that its level indices spell, first coordinate least significant, and a whole point's
    likewise.
    """

    points: npt.NDArray[np.float32]
    """(n, columns)."""
    places: npt.NDArray[np.int16]
    """(columns, STEPS): what a number, twice and cut to an integer, adds to the name of the point
    it rounds to."""
    named: npt.NDArray[np.int16]
    """The index of the point with that name, -1 where the grid has none."""
    halves: npt.NDArray[np.float32]
    """(v, columns / 2, 16): the halves by name, sixteen side by side; the last again as filling."""
    lists: npt.NDArray[np.float32]
    """(m, columns / 2 + 1, 16): low halves of sixteen points with one high half, and the points'
    indices (as bits); the last again as filling."""
    starts: npt.NDArray[np.int16]
    """(16 v + 1,): where in ``lists`` each high half begins."""
    num_halves: int
    top: np.float32
    """The highest level."""


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

    dims, num_halves = columns // 2, len(levels) ** (columns // 2)
    every = np.minimum(np.arange(-(-num_halves // 16) * 16), num_halves - 1)
    halves = levels[every[:, np.newaxis] // powers[:dims] % len(levels)]
    lists, starts = [], [0]
    for half in range(len(every)):
        members = np.flatnonzero(names // num_halves == half)
        for first in range(0, len(members), 16):
            sixteen = members[np.minimum(np.arange(first, first + 16), len(members) - 1)]
            bits = sixteen.astype(np.int32).view(np.float32)
            lists.append(np.vstack([points[sixteen, :dims].T, bits]))
        starts.append(len(lists))
    return SearchTables(
        points,
        (powers[:, np.newaxis] * digits).astype(np.int16),
        named,
        np.ascontiguousarray(halves.reshape(-1, 16, dims).transpose(0, 2, 1)),
        np.array(lists),
        np.array(starts, np.int16),
        num_halves,
        levels[-1],
    )


@simd.operation("vvvv>v")
def _select_less(builder: Any, x: Any, y: Any, if_less: Any, if_not: Any) -> Any:
    """Lane by lane: ``if_less`` where x < y."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    is_less = builder.fcmp_ordered("<", builder.bitcast(x, kind), builder.bitcast(y, kind))
    return builder.select(is_less, if_less, if_not)


def _fold_least(builder: Any, costs: Any, numbers: Any) -> tuple[Any, Any]:
    """The least cost and the number beside it; of equal costs, the lowest number."""
    cost = builder.bitcast(costs, ir.VectorType(ir.FloatType(), simd.LANES))
    width = simd.LANES
    while width > 1:
        width //= 2
        kind = ir.VectorType(ir.IntType(32), width)
        low, high = (ir.Constant(kind, list(range(n, n + width))) for n in (0, width))
        cost_a, cost_b = (builder.shuffle_vector(cost, cost, half) for half in (low, high))
        a, b = (builder.shuffle_vector(numbers, numbers, half) for half in (low, high))
        first = builder.and_(
            builder.fcmp_ordered("==", cost_a, cost_b), builder.icmp_signed("<", a, b)
        )
        first = builder.or_(first, builder.fcmp_ordered("<", cost_a, cost_b))
        cost, numbers = builder.select(first, cost_a, cost_b), builder.select(first, a, b)
    zero = ir.Constant(ir.IntType(32), 0)
    return builder.extract_element(cost, zero), builder.extract_element(numbers, zero)


@simd.operation("vv>i")
def _number_of_least(builder: Any, costs: Any, numbers: Any) -> Any:
    return builder.sext(_fold_least(builder, costs, numbers)[1], ir.IntType(64))


@simd.operation("v>f")
def _least_lane(builder: Any, costs: Any) -> Any:
    return _fold_least(builder, costs, ir.Constant(ir.VectorType(ir.IntType(32), 16), None))[0]


@simd.operation("v>v")
def clip_to_steps(builder: Any, v: Any) -> Any:
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


@simd.operation("if>i")
def _below(builder: Any, address: Any, limit: Any) -> Any:
    """A bit for each of sixteen floats that is below the limit, the first one's lowest."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    is_below = builder.fcmp_ordered(
        "<", simd.load_as(builder, address, kind), simd.splat(builder, limit, kind)
    )
    return builder.zext(builder.bitcast(is_below, ir.IntType(16)), ir.IntType(64))


@simd.operation("i>i")
def _lowest_bit(builder: Any, mask: Any) -> Any:
    """The number of the lowest bit that is set."""
    return builder.cttz(mask, ir.Constant(ir.IntType(1), 1))


@njit(inline="always", **NJIT_OPTIONS)
def _half_cost(at: int, wide: bool, w: Any, p: Any) -> Any:
    """The sums of g * (weight * g + product) over 2, or ``wide`` 4, coordinates of 16 halves."""
    g0, g1 = simd.load(at), simd.load(at + 64)
    cost = simd.mul(g0, simd.fma(w[0], g0, p[0]))
    cost = simd.fma(g1, simd.fma(w[1], g1, p[1]), cost)
    if wide:
        g2, g3 = simd.load(at + 128), simd.load(at + 192)
        cost = simd.fma(g2, simd.fma(w[2], g2, p[2]), cost)
        cost = simd.fma(g3, simd.fma(w[3], g3, p[3]), cost)
    return cost


@njit(inline="always", **NJIT_OPTIONS)
def _splat_four(at: int, wide: bool) -> Any:
    """Four (or two, twice) floats, each in all lanes of a vector."""
    second = 8 if wide else 0
    return (
        simd.broadcast_load(at),
        simd.broadcast_load(at + 4),
        simd.broadcast_load(at + second),
        simd.broadcast_load(at + second + 4),
    )


@njit(**NJIT_OPTIONS)
def nearest_point(
    tables: SearchTables, weights: int, products: int, name: int, room: npt.NDArray[np.float32]
) -> int:
    """The point g with the least sum of g * (weight * g + product), by the addresses of a weight
    and a product, -2 * weight * number, for each column.

    ``name``: of the point, not in the grid, that rounding gives. ``room``: (96,) float32.
    """
    dims = tables.halves.shape[1]
    wide = dims == 4
    w, p = _splat_four(weights + 4 * dims, wide), _splat_four(products + 4 * dims, wide)
    low_name, high_name = name % tables.num_halves, name // tables.num_halves
    # What every point costs at the least for its low half.
    low_least = np.float32(0)
    for n in range(dims):
        g = tables.halves[low_name // 16, n, low_name % 16]
        weighted = simd.load_f32(weights + 4 * n) * g + simd.load_f32(products + 4 * n)
        low_least += g * weighted
    base = simd.splat_f32(low_least)
    for vector in range(tables.halves.shape[0]):
        cost = _half_cost(tables.halves.ctypes.data + 64 * dims * vector, wide, w, p)
        simd.store(room.ctypes.data + 64 * vector, simd.add(cost, base))

    w, p = _splat_four(weights, wide), _splat_four(products, wide)
    least, which = simd.splat_f32(np.float32(3e38)), simd.zeros()
    # Sixteen halves at a time, but before them the one that rounding gives.
    for first in range(-16, 16 * tables.halves.shape[0], 16):
        if first < 0:
            mask, start = 1, high_name
        else:
            mask, start = _below(room.ctypes.data + 4 * first, _least_lane(least)), first
        while mask != 0:
            half = start + _lowest_bit(mask)
            mask &= mask - 1
            own = simd.splat_f32(room[half] - low_least)
            room[half] = np.float32(3e38)
            for vector in range(tables.starts[half], tables.starts[half + 1]):
                at = tables.lists.ctypes.data + 64 * (dims + 1) * vector
                cost = simd.add(own, _half_cost(at, wide, w, p))
                which = _select_less(cost, least, simd.load(at + 64 * dims), which)
                least = _select_less(cost, least, cost, least)
    return _number_of_least(least, which)  # type: ignore[no-any-return]
