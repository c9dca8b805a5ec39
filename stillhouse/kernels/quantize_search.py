"""Scales by search: sixteen groups at once, a lane each.

A group's numbers x are to become codes q with ``x = scale * q`` (symmetric), or ``x = scale * q -
minimum`` (affine), so that the sum of weight * error^2 is small. For fixed codes the best scale and
minimum are those of least squares, and for a fixed scale the best codes are the nearest; so a
search tries some scales, rounds, solves, and keeps what is best by the error that the sums give.
Ideas: make_qx_quants and make_qkx2_quants of ggml-quants.c.

Buffers are addresses of float32 (n, 16): number k of the sixteen groups stands at 64 * k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from stillhouse.kernels import simd, simd_lanes
from stillhouse.kernels.compiler import NJIT_OPTIONS

F = np.float32
# What is better by less than this share is as good: sums of float32 cannot tell, and among equal
# scales the first, the same in all groups, is the easiest to round.
WORTH = F(1 + 5e-7)
_LARGEST_HALF = F(65504)


@njit(inline="always", **NJIT_OPTIONS)
def times(v: Any, factor: float) -> Any:
    return simd.mul(v, simd.splat_f32(F(factor)))


@njit(inline="always", **NJIT_OPTIONS)
def clamped(v: Any, lowest: float, highest: float) -> Any:
    """Whole numbers nearest to v in a range."""
    v = simd.maximum(v, simd.splat_f32(F(lowest)))
    return simd_lanes.rounded(simd_lanes.minimum(v, simd.splat_f32(F(highest))))


@njit(inline="always", **NJIT_OPTIONS)
def inverse_of(v: Any) -> Any:
    """1 / v, and 0 where v is 0."""
    return simd_lanes.ratio(simd.splat_f32(F(1)), v)


@njit(inline="always", **NJIT_OPTIONS)
def half_of(v: Any) -> Any:
    """The nearest float16's value, never an infinite one."""
    v = simd.maximum(v, simd.splat_f32(-_LARGEST_HALF))
    return simd_lanes.as_half(simd_lanes.minimum(v, simd.splat_f32(_LARGEST_HALF)))


@njit(inline="always", **NJIT_OPTIONS)
def sum_of(v: Any, width: int) -> Any:
    """In every lane the sum of the 8 or 16 neighbours it belongs to; ``width`` 1: itself."""
    if width == 1:
        return v
    return simd_lanes.sum_of_8(v) if width == 8 else simd_lanes.sum_of_16(v)


@njit(inline="always", **NJIT_OPTIONS)
def max_of(v: Any, width: int) -> Any:
    """In every lane the largest of the 8 or 16 neighbours it belongs to."""
    return simd_lanes.max_of_8(v) if width == 8 else simd_lanes.max_of_16(v)


@njit(**NJIT_OPTIONS)
def gather(addresses: int, n: int, target: int) -> None:
    """Sixteen groups of n numbers (16 or 32) into a buffer."""
    for k in range(0, n, 16):
        simd_lanes.turn(addresses, 4 * k, target + 64 * k)


@njit(**NJIT_OPTIONS)
def weigh_by_size(x: int, n: int, width: int, w: int) -> None:
    """Weights where nothing is known of the columns: |x| + 2 sqrt(mean(x^2)).

    Large numbers weigh a little more, as an error is worse where much depends on it; the mean is of
    the ``width`` groups of a block.
    """
    total = simd.zeros()
    for k in range(n):
        value = simd.load(x + 64 * k)
        total = simd.fma(value, value, total)
    base = simd_lanes.sqrt(times(sum_of(total, width), F(4) / F(n * width)))
    for k in range(n):
        simd.store(w + 64 * k, simd.add(simd.magnitude(simd.load(x + 64 * k)), base))


# ---- symmetric: x = scale * q, q from -levels to levels - 1 ----


@njit(inline="always", **NJIT_OPTIONS)
def symmetric_sums(x: int, w: int, n: int, levels: int, inverse: Any) -> Any:
    """Sums of weight * q * x and weight * q * q for the codes nearest to x * inverse."""
    xq, qq = simd.zeros(), simd.zeros()
    for k in range(n):
        value = simd.load(x + 64 * k)
        q = simd_lanes.rounded_product(value, inverse)
        q = simd.maximum(q, simd.splat_f32(F(-levels)))
        q = simd_lanes.minimum(q, simd.splat_f32(F(levels - 1)))
        wq = simd.mul(simd.load(w + 64 * k), q)
        xq = simd.fma(wq, value, xq)
        qq = simd.fma(wq, q, qq)
    return xq, qq


@njit(**NJIT_OPTIONS)
def search_symmetric(
    x: int, w: int, n: int, levels: int, tries: int, step: float, both_signs: bool
) -> Any:
    """Scales of sixteen groups, of either sign; 0 for a group of zeros.

    Tries the scales that put the number of largest magnitude at code -levels - k * step, for k from
    -tries to tries, and, for ``both_signs``, at levels - 1 - k * step as well.
    """
    highest = lowest = simd.load(x)
    for k in range(1, n):
        value = simd.load(x + 64 * k)
        highest, lowest = simd.maximum(highest, value), simd_lanes.minimum(lowest, value)
    below = simd.sub(simd.zeros(), lowest)
    peak = simd_lanes.where_greater(highest, below, highest, lowest)
    unit = inverse_of(peak)
    scale = times(peak, F(-1) / F(levels))
    best = simd.zeros()
    for direction in range(2 if both_signs else 1):
        for number in range(2 * tries + 1):  # k = 0, 1, -1, 2, -2
            k = (number + 1) // 2 if number & 1 else -(number // 2)
            aim = F(-levels) - F(step) * F(k)
            if direction == 1:
                aim = F(levels - 1) + F(step) * F(k)
            inverse = times(unit, aim)
            xq, qq = symmetric_sums(x, w, n, levels, inverse)
            fitted = simd_lanes.ratio(xq, qq)
            gain = simd.mul(fitted, xq)
            threshold = times(best, WORTH)
            scale = simd_lanes.where_greater(gain, threshold, fitted, scale)
            best = simd_lanes.where_greater(gain, threshold, gain, best)
    return scale


# ---- affine: x = scale * q - minimum, q from 0 to levels ----


@njit(inline="always", **NJIT_OPTIONS)
def affine_sums(y: int, w: int, n: int, levels: int, inverse: Any, shift: Any) -> Any:
    """Sums of weight * q, weight * q * q and weight * q * y for the codes nearest to
    y * inverse + shift.
    """
    sq, qq, qy = simd.zeros(), simd.zeros(), simd.zeros()
    for k in range(n):
        value = simd.load(y + 64 * k)
        q = clamped(simd.fma(value, inverse, shift), 0, levels)
        wq = simd.mul(simd.load(w + 64 * k), q)
        sq = simd.add(sq, wq)
        qq = simd.fma(wq, q, qq)
        qy = simd.fma(wq, value, qy)
    return sq, qq, qy


@njit(inline="always", **NJIT_OPTIONS)
def sums_from_zero(y: int, w: int, n: int, levels: int, inverse: Any) -> Any:
    """As `affine_sums` with a shift of 0, for numbers that are not negative: fewer operations."""
    sq, qq, qy = simd.zeros(), simd.zeros(), simd.zeros()
    for k in range(n):
        value = simd.load(y + 64 * k)
        q = simd_lanes.rounded_product(value, inverse)
        q = simd_lanes.minimum(q, simd.splat_f32(F(levels)))
        wq = simd.mul(simd.load(w + 64 * k), q)
        sq = simd.add(sq, wq)
        qq = simd.fma(wq, q, qq)
        qy = simd.fma(wq, value, qy)
    return sq, qq, qy


@njit(inline="always", **NJIT_OPTIONS)
def affine_error(sums: Any, moments: Any, scale: Any, offset: Any) -> Any:
    """The sum of weight * (y - scale * q - offset)^2, less that of weight * y^2.

    ``sums`` of the codes, as from `affine_sums`; ``moments``: of weight and weight * y.
    """
    sq, qq, qy = sums
    sw, sy = moments
    by_scale = simd.sub(simd.mul(scale, qq), simd.add(qy, qy))
    by_offset = simd.sub(simd.mul(offset, sw), simd.add(sy, sy))
    both = simd.mul(simd.mul(scale, offset), simd.add(sq, sq))
    return simd.fma(scale, by_scale, simd.fma(offset, by_offset, both))


@njit(inline="always", **NJIT_OPTIONS)
def affine_solution(sums: Any, moments: Any, limit: Any) -> Any:
    """Scale and offset of least error for given codes; the offset is at most ``limit``."""
    sq, qq, qy = sums
    sw, sy = moments
    determinant = simd.sub(simd.mul(sw, qq), simd.mul(sq, sq))
    # Equal codes leave a determinant of rounding errors: then the offset alone is free.
    sane = times(simd.mul(sw, qq), F(1e-6))
    scale = simd_lanes.ratio(simd.sub(simd.mul(sw, qy), simd.mul(sq, sy)), determinant)
    scale = simd_lanes.where_greater(determinant, sane, scale, simd.zeros())
    offset = simd_lanes.ratio(simd.sub(sy, simd.mul(scale, sq)), sw)
    at_limit = simd_lanes.ratio(simd.sub(qy, simd.mul(limit, sq)), qq)
    scale = simd_lanes.where_greater(offset, limit, at_limit, scale)
    return scale, simd_lanes.minimum(offset, limit)


@njit(**NJIT_OPTIONS)
def search_affine(
    x: int, w: int, n: int, levels: int, tries: int, start: float, step: float,
    rounds: int, bounded: bool, y: int,
) -> Any:  # fmt: skip
    """Scales and minimums of sixteen groups; a minimum is not negative where ``bounded``.

    Tries the scales that put the largest number at code levels, and at levels + start + k * step,
    counted from the smallest, for k below ``tries``; then rounds and solves again from the best,
    ``rounds`` times.
    ``y`` is a scratch buffer for the numbers less the smallest.
    """
    highest = lowest = simd.load(x)
    sw = simd.load(w)
    for k in range(1, n):
        value = simd.load(x + 64 * k)
        highest, lowest = simd.maximum(highest, value), simd_lanes.minimum(lowest, value)
        sw = simd.add(sw, simd.load(w + 64 * k))
    limit = simd.splat_f32(F(3e38))
    if bounded:
        lowest = simd_lanes.minimum(lowest, simd.zeros())
        limit = simd.sub(simd.zeros(), lowest)
    sy = simd.zeros()
    for k in range(n):
        value = simd.sub(simd.load(x + 64 * k), lowest)
        simd.store(y + 64 * k, value)
        sy = simd.fma(simd.load(w + 64 * k), value, sy)
    moments = (sw, sy)
    extent = simd.sub(highest, lowest)
    unit = inverse_of(extent)
    scale, offset = times(extent, F(1) / F(levels)), simd.zeros()
    best = simd.splat_f32(F(3e38))
    for k in range(-1, tries):
        aim = F(levels)
        if k >= 0:
            aim += F(start) + F(step) * F(k)
        inverse = times(unit, aim)
        sums = sums_from_zero(y, w, n, levels, inverse)
        s, c = affine_solution(sums, moments, limit)
        error = affine_error(sums, moments, s, c)
        threshold = times(best, WORTH)
        scale = simd_lanes.where_greater(threshold, error, s, scale)
        offset = simd_lanes.where_greater(threshold, error, c, offset)
        best = simd_lanes.where_greater(threshold, error, error, best)
    for _ in range(rounds):
        inverse = inverse_of(scale)
        shift = simd.sub(simd.zeros(), simd.mul(offset, inverse))
        sums = affine_sums(y, w, n, levels, inverse, shift)
        s, c = affine_solution(sums, moments, limit)
        error = affine_error(sums, moments, s, c)
        threshold = times(best, WORTH)
        scale = simd_lanes.where_greater(threshold, error, s, scale)
        offset = simd_lanes.where_greater(threshold, error, c, offset)
        best = simd_lanes.where_greater(threshold, error, error, best)
    return scale, simd.sub(simd.zeros(), simd.add(offset, lowest))
