"""Scales of groups, themselves quantised: what a K-quant's block of 256 makes of sixteen groups.

Lanes are groups, and the ``width`` groups of a block (8 or 16) share two float16 numbers at most.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd, simd_lanes
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.quantize_search import (
    WORTH,
    F,
    affine_error,
    affine_sums,
    clamped,
    half_of,
    inverse_of,
    max_of,
    sum_of,
    symmetric_sums,
    times,
)

_SMALLEST_HALF = F(2**-24)


@njit(inline="always", **NJIT_OPTIONS)
def _unit_of(peak: Any, levels: int) -> Any:
    """The float16 whose ``levels``-fold is the peak, or a little more where float16 is coarse: a
    unit too small could not reach the largest scale.
    """
    unit = half_of(times(peak, F(1) / F(levels)))
    reached = times(simd.magnitude(unit), F(1.01) * F(abs(levels)))
    more = simd.splat_f32(_SMALLEST_HALF)
    more = simd_lanes.where_greater(simd.magnitude(peak), reached, more, simd.zeros())
    wanted = times(peak, F(levels))  # of the unit's sign
    return simd_lanes.where_greater(
        wanted, simd.zeros(), simd.add(unit, more), simd.sub(unit, more)
    )


@njit(inline="always", **NJIT_OPTIONS)
def _code(value: Any, unit: Any, lowest: int, highest: int) -> Any:
    return clamped(simd.mul(value, inverse_of(unit)), lowest, highest)


@njit(inline="always", **NJIT_OPTIONS)
def _excess(d: Any, above: Any, below: Any) -> Any:
    """d^2 * below - 2 d * above: the error of a scale, less what does not depend on it."""
    return simd.mul(d, simd.sub(simd.mul(d, below), simd.add(above, above)))


@njit(**NJIT_OPTIONS)
def nest_symmetric(
    x: int, w: int, n: int, levels: int, scale: Any, scale_levels: int, reach: int, rounds: int
) -> Any:
    """(d, scales): scales are whole numbers from -scale_levels to scale_levels - 1, x = d * scale *
    code; the same d in all sixteen lanes.

    ``rounds`` times: each group takes the best of the scales at most ``reach`` from its own, then d
    is what least squares makes of all codes.
    """
    high = max_of(scale, 16)
    low = max_of(simd.sub(simd.zeros(), scale), 16)
    peak = simd_lanes.where_greater(high, low, high, simd.sub(simd.zeros(), low))
    d = _unit_of(peak, -scale_levels)
    codes = _code(scale, d, -scale_levels, scale_levels - 1)
    for _ in range(rounds):
        best, around = simd.splat_f32(F(3e38)), codes
        best_xq, best_qq = simd.zeros(), simd.zeros()
        for number in range(2 * reach + 1):  # k = 0, 1, -1, 2, -2
            k = (number + 1) // 2 if number & 1 else -(number // 2)
            tried = simd.add(around, simd.splat_f32(F(k)))
            tried = clamped(tried, -scale_levels, scale_levels - 1)
            product = simd.mul(d, tried)
            xq, qq = symmetric_sums(x, w, n, levels, inverse_of(product))
            error = simd.mul(product, simd.sub(simd.mul(product, qq), simd.add(xq, xq)))
            threshold = times(best, WORTH)
            codes = simd_lanes.where_greater(threshold, error, tried, codes)
            best_xq = simd_lanes.where_greater(threshold, error, xq, best_xq)
            best_qq = simd_lanes.where_greater(threshold, error, qq, best_qq)
            best = simd_lanes.where_greater(threshold, error, error, best)
        above = sum_of(simd.mul(codes, best_xq), 16)
        below = sum_of(simd.mul(simd.mul(codes, codes), best_qq), 16)
        fitted = half_of(simd_lanes.ratio(above, below))
        worse = _excess(fitted, above, below)
        d = simd_lanes.where_greater(_excess(d, above, below), worse, fitted, d)
    return d, codes


@njit(**NJIT_OPTIONS)
def nest_affine(
    x: int, w: int, n: int, levels: int, scale: Any, minimum: Any, scale_levels: int, width: int,
    reach: int, rounds: int,
) -> Any:  # fmt: skip
    """(d, dmin, scales, minimums): both are whole numbers from 0 to scale_levels, and x = d * scale
    * code - dmin * minimum; d and dmin the same in the lanes of a block.

    ``rounds`` times: each group takes the best of the scales at most ``reach`` from its own, with
    the minimum that fits its codes; then d and dmin are what least squares makes of all codes.
    """
    sw, sx = simd.zeros(), simd.zeros()
    for k in range(n):
        weight = simd.load(w + 64 * k)
        sw = simd.add(sw, weight)
        sx = simd.fma(weight, simd.load(x + 64 * k), sx)
    moments = (sw, sx)
    d = _unit_of(max_of(scale, width), scale_levels)
    dmin = _unit_of(max_of(minimum, width), scale_levels)
    codes = _code(scale, d, 0, scale_levels)
    minimums = _code(minimum, dmin, 0, scale_levels)
    for _ in range(rounds):
        best, around, mins_around = simd.splat_f32(F(3e38)), codes, minimums
        best_sq, best_qq, best_qx = simd.zeros(), simd.zeros(), simd.zeros()
        for number in range(2 * reach + 1):  # k = 0, 1, -1, 2, -2
            k = (number + 1) // 2 if number & 1 else -(number // 2)
            tried = clamped(simd.add(around, simd.splat_f32(F(k))), 0, scale_levels)
            product = simd.mul(d, tried)
            inverse = inverse_of(product)
            shift = simd.mul(simd.mul(dmin, mins_around), inverse)
            sums = affine_sums(x, w, n, levels, inverse, shift)
            sq, qq, qx = sums
            fitted = simd_lanes.ratio(simd.sub(simd.mul(product, sq), sx), sw)
            mins = _code(fitted, dmin, 0, scale_levels)
            error = affine_error(
                sums, moments, product, simd.sub(simd.zeros(), simd.mul(dmin, mins))
            )
            threshold = times(best, WORTH)
            codes = simd_lanes.where_greater(threshold, error, tried, codes)
            minimums = simd_lanes.where_greater(threshold, error, mins, minimums)
            best_sq = simd_lanes.where_greater(threshold, error, sq, best_sq)
            best_qq = simd_lanes.where_greater(threshold, error, qq, best_qq)
            best_qx = simd_lanes.where_greater(threshold, error, qx, best_qx)
            best = simd_lanes.where_greater(threshold, error, error, best)
        # d * a - dmin * b = p,  d * b - dmin * c = r
        a = sum_of(simd.mul(simd.mul(codes, codes), best_qq), width)
        b = sum_of(simd.mul(simd.mul(codes, minimums), best_sq), width)
        c = sum_of(simd.mul(simd.mul(minimums, minimums), sw), width)
        p = sum_of(simd.mul(codes, best_qx), width)
        r = sum_of(simd.mul(minimums, sx), width)
        determinant = simd.sub(simd.mul(a, c), simd.mul(b, b))
        sane = times(simd.mul(a, c), F(1e-6))
        new_d = simd_lanes.ratio(simd.sub(simd.mul(p, c), simd.mul(b, r)), determinant)
        new_dmin = simd_lanes.ratio(simd.sub(simd.mul(b, p), simd.mul(a, r)), determinant)
        alone = simd_lanes.ratio(p, a)
        new_d = simd_lanes.where_greater(determinant, sane, new_d, alone)
        new_dmin = simd_lanes.where_greater(determinant, sane, new_dmin, dmin)
        new_d, new_dmin = half_of(new_d), half_of(new_dmin)
        # The error less what depends on neither: _excess of each, and a term of both.
        before = simd.add(_excess(d, p, a), _excess(dmin, simd.sub(simd.zeros(), r), c))
        before = simd.sub(before, simd.mul(simd.mul(d, dmin), simd.add(b, b)))
        after = simd.add(_excess(new_d, p, a), _excess(new_dmin, simd.sub(simd.zeros(), r), c))
        after = simd.sub(after, simd.mul(simd.mul(new_d, new_dmin), simd.add(b, b)))
        after = simd_lanes.where_greater(
            simd.zeros(), simd_lanes.minimum(new_d, new_dmin), simd.splat_f32(F(3e38)), after
        )
        d = simd_lanes.where_greater(before, after, new_d, d)
        dmin = simd_lanes.where_greater(before, after, new_dmin, dmin)
    return d, dmin, codes, minimums
