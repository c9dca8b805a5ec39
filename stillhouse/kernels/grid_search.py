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
    """One grid, three times."""

    points: npt.NDArray[np.float32]
    """(n, columns)."""
    lanes: npt.NDArray[np.float32]
    """(n / 16, columns, 16): coordinates of sixteen points side by side."""
    places: npt.NDArray[np.int16]
    """(columns, STEPS): what a number, twice and cut to an integer, adds to the name of the point
    it rounds to."""
    named: npt.NDArray[np.int16]
    """The index of the point with that name, -1 where the grid has none."""
    top: np.float32
    """The highest level."""


def search_tables(grid: Callable[[], npt.NDArray[np.int8]]) -> SearchTables:
    points = grid().astype(np.float32)
    count, columns = points.shape
    levels = np.unique(points)
    # Midpoints of levels are multiples of 1/2, so the number cut to half-steps rounds as exactly.
    digits = np.searchsorted((levels[1:] + levels[:-1]) / 2, np.arange(STEPS) / 2, side="right")
    powers = len(levels) ** np.arange(columns)
    named = np.full(len(levels) ** columns, -1, np.int16)
    named[np.searchsorted(levels, points) @ powers] = np.arange(count)
    lanes = points.reshape(count // 16, 16, columns).transpose(0, 2, 1)
    places = powers[:, np.newaxis] * digits
    return SearchTables(
        points, np.ascontiguousarray(lanes), places.astype(np.int16), named, levels[-1]
    )


@simd.operation("vvvv>v")
def select_less(builder: Any, x: Any, y: Any, if_less: Any, if_not: Any) -> Any:
    """Lane by lane: ``if_less`` where x < y."""
    kind = ir.VectorType(ir.FloatType(), simd.LANES)
    is_less = builder.fcmp_ordered("<", builder.bitcast(x, kind), builder.bitcast(y, kind))
    return builder.select(is_less, if_less, if_not)


@simd.operation("vv>i")
def number_of_least(builder: Any, costs: Any, numbers: Any) -> Any:
    """The number beside the least cost; of equal costs, the lowest number."""
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
    return builder.sext(
        builder.extract_element(numbers, ir.Constant(ir.IntType(32), 0)), ir.IntType(64)
    )


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


@njit(**NJIT_OPTIONS)
def nearest_of_eight(lanes: int, vectors: int, weights: int, linear: int) -> int:
    """The point g with the least sum of g * (weight * g + linear): addresses of a table's lanes,
    of 8 weights, and of 8 products -2 * weight * number.
    """
    w0, l0 = simd.broadcast_load(weights), simd.broadcast_load(linear)
    w1, l1 = simd.broadcast_load(weights + 4), simd.broadcast_load(linear + 4)
    w2, l2 = simd.broadcast_load(weights + 8), simd.broadcast_load(linear + 8)
    w3, l3 = simd.broadcast_load(weights + 12), simd.broadcast_load(linear + 12)
    w4, l4 = simd.broadcast_load(weights + 16), simd.broadcast_load(linear + 16)
    w5, l5 = simd.broadcast_load(weights + 20), simd.broadcast_load(linear + 20)
    w6, l6 = simd.broadcast_load(weights + 24), simd.broadcast_load(linear + 24)
    w7, l7 = simd.broadcast_load(weights + 28), simd.broadcast_load(linear + 28)
    least, which = simd.splat_f32(np.float32(3e38)), simd.zeros()
    for vector in range(vectors):
        at = lanes + 512 * vector
        g = simd.load(at)
        cost = simd.mul(g, simd.fma(w0, g, l0))
        g = simd.load(at + 64)
        cost = simd.fma(g, simd.fma(w1, g, l1), cost)
        g = simd.load(at + 128)
        cost = simd.fma(g, simd.fma(w2, g, l2), cost)
        g = simd.load(at + 192)
        cost = simd.fma(g, simd.fma(w3, g, l3), cost)
        g = simd.load(at + 256)
        cost = simd.fma(g, simd.fma(w4, g, l4), cost)
        g = simd.load(at + 320)
        cost = simd.fma(g, simd.fma(w5, g, l5), cost)
        g = simd.load(at + 384)
        cost = simd.fma(g, simd.fma(w6, g, l6), cost)
        g = simd.load(at + 448)
        cost = simd.fma(g, simd.fma(w7, g, l7), cost)
        numbers = simd.add_i32(simd.lane_numbers(), simd.splat_i32(16 * vector))
        which = select_less(cost, least, numbers, which)
        least = select_less(cost, least, cost, least)
    return number_of_least(least, which)  # type: ignore[no-any-return]


@njit(**NJIT_OPTIONS)
def nearest_of_four(lanes: int, vectors: int, weights: int, linear: int) -> int:
    """As `nearest_of_eight`, for points of 4."""
    w0, l0 = simd.broadcast_load(weights), simd.broadcast_load(linear)
    w1, l1 = simd.broadcast_load(weights + 4), simd.broadcast_load(linear + 4)
    w2, l2 = simd.broadcast_load(weights + 8), simd.broadcast_load(linear + 8)
    w3, l3 = simd.broadcast_load(weights + 12), simd.broadcast_load(linear + 12)
    least, which = simd.splat_f32(np.float32(3e38)), simd.zeros()
    for vector in range(vectors):
        at = lanes + 256 * vector
        g = simd.load(at)
        cost = simd.mul(g, simd.fma(w0, g, l0))
        g = simd.load(at + 64)
        cost = simd.fma(g, simd.fma(w1, g, l1), cost)
        g = simd.load(at + 128)
        cost = simd.fma(g, simd.fma(w2, g, l2), cost)
        g = simd.load(at + 192)
        cost = simd.fma(g, simd.fma(w3, g, l3), cost)
        numbers = simd.add_i32(simd.lane_numbers(), simd.splat_i32(16 * vector))
        which = select_less(cost, least, numbers, which)
        least = select_less(cost, least, cost, least)
    return number_of_least(least, which)  # type: ignore[no-any-return]
