"""Writing IQ4_NL and IQ4_XS: codes for sixteen values, denser around 0.

The values are not symmetric, and so a scale may be negative. Thirty-two numbers try scales that
make their largest one come out beside either end, each refitted by least squares to the codes it
gives; the best is refitted until it stays. IQ4_XS then makes the largest scale of eight -32 times a
float16 unit, and chooses among the multiples beside each of the others, twice, with the unit fitted
to all codes in between.

Field orders: ggml-common.h, structs block_iq4_nl and block_iq4_xs; see encodings/i_quants.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit

from stillhouse.encodings.i_quants import IQ4_VALUES
from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import put_byte, put_float_as_half, put_half
from stillhouse.kernels.block_weights import weigh_block
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_search import nearest_half

# Scales tried for each end, from this part of the one that makes the largest number that end.
_TRIES = 10
_FIRST, _STEP = np.float32(0.82), np.float32(1.05)
_REFITS = 2
_LOWEST, _HIGHEST = np.float32(IQ4_VALUES[0]), np.float32(IQ4_VALUES[-1])

# Rows of a workspace of 256 columns.
_VALUES, _WEIGHTS = 0, 1


def _by_nearest(builder: Any, v: Any, element: Any, results: Sequence[float]) -> Any:
    """Lane by lane: the one of 16 results that belongs to the nearest value."""
    floats = ir.VectorType(ir.FloatType(), simd.LANES)
    x, kind = builder.bitcast(v, floats), ir.VectorType(element, simd.LANES)
    result = ir.Constant(kind, [results[0]] * simd.LANES)
    for (low, high), above in zip(pairwise(IQ4_VALUES), results[1:], strict=True):
        is_above = builder.fcmp_ordered(">", x, ir.Constant(floats, [(low + high) / 2] * 16))
        result = builder.select(is_above, ir.Constant(kind, [above] * simd.LANES), result)
    return result


@simd.operation("v>v")
def _nearest_values(builder: Any, v: Any) -> Any:
    return _by_nearest(builder, v, ir.FloatType(), [float(value) for value in IQ4_VALUES])


@simd.operation("v>v")
def _nearest_codes(builder: Any, v: Any) -> Any:
    return _by_nearest(builder, v, ir.IntType(32), range(16))


@njit(**NJIT_OPTIONS)
def _search(numbers: int, weights: int, scale: np.float32) -> tuple[np.float32, np.float32]:
    """Weighted sums over 32 numbers, given by address: of nearest value times number, and of
    nearest value squared.
    """
    inverse = simd.splat_f32(np.float32(1) / scale)
    with_number, squared = simd.zeros(), simd.zeros()
    for at in range(0, 128, 64):
        number = simd.load(numbers + at)
        value = _nearest_values(simd.mul(number, inverse))
        weighted = simd.mul(value, simd.load(weights + at))
        with_number = simd.fma(weighted, number, with_number)
        squared = simd.fma(weighted, value, squared)
    return simd.sum_lanes(with_number), simd.sum_lanes(squared)


@njit(**NJIT_OPTIONS)
def _suited_scale(work: npt.NDArray[np.float32], first: int) -> np.float32:
    """The scale that leaves 32 numbers the least error, of those that were looked at."""
    extreme = np.float32(0)
    for n in range(first, first + 32):
        if abs(work[_VALUES, n]) > abs(extreme):
            extreme = work[_VALUES, n]
    # Below this nothing would be left of the squares.
    if abs(extreme) < np.float32(1e-12):
        return np.float32(0)
    numbers = work.ctypes.data + 4 * first
    weights = numbers + 4 * work.shape[1]
    best_gain, best = np.float32(0), np.float32(0)
    for end in (_LOWEST, _HIGHEST):
        scale = _FIRST * extreme / end
        for _ in range(_TRIES):
            product, squared = _search(numbers, weights, scale)
            if product * product > best_gain * squared:
                best_gain, best = product * product / squared, product / squared
            scale *= _STEP
    for _ in range(_REFITS):
        if best != 0:
            product, squared = _search(numbers, weights, best)
            best = product / squared
    return best


@njit(**NJIT_OPTIONS)
def _put_codes(numbers: int, scale: np.float32, out: int) -> None:
    """Sixteen bytes: the codes of 16 numbers, and above them those of the next 16."""
    inverse = simd.splat_f32(np.float32(1) / scale)
    low = _nearest_codes(simd.mul(simd.load(numbers), inverse))
    high = _nearest_codes(simd.mul(simd.load(numbers + 64), inverse))
    simd.store_low_bytes(out, simd.or_bits(low, simd.shift_left(high, 4)))


@njit(**NJIT_OPTIONS)
def encode_iq4_nl(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    work = np.empty((2, 32), np.float32)
    numbers = work.ctypes.data
    for row in range(first, last):
        for block in range(values.shape[1] // 32):
            out = blocks[row, 18 * block : 18 * block + 18]
            out[:] = 0
            here = slice(32 * block, 32 * block + 32)
            unit = weigh_block(values[row, here], importance[here], work[_VALUES], work[_WEIGHTS])
            if unit == 0:
                continue
            half = nearest_half(_suited_scale(work, 0) * unit)
            scale = np.float32(half / unit)
            product, squared = _search(numbers, numbers + 128, scale)
            for _ in range(_REFITS):
                half = nearest_half(product / squared * unit)
                scale = np.float32(half / unit)
                product, squared = _search(numbers, numbers + 128, scale)
            # A subnormal half may be so far off that nothing is better: zero bytes mean zeros.
            if scale * squared * scale < 2 * product * scale:
                put_float_as_half(out.ctypes.data, half)
                _put_codes(numbers, scale, out.ctypes.data + 2)


@njit(**NJIT_OPTIONS)
def _choose_multiples(
    work: npt.NDArray[np.float32],
    suited: npt.NDArray[np.float32],
    multiples: npt.NDArray[np.int64],
    step: np.float32,
) -> tuple[np.float32, np.float32]:
    """Fill ``multiples`` at a given unit. Returns the sums of `_search` over the superblock, with
    its values times their multiples.
    """
    all_product, all_squared = np.float32(0), np.float32(0)
    for group in range(8):
        numbers = work.ctypes.data + 128 * group
        place = suited[group] / step
        nearest = int(min(max(np.rint(place), np.float32(-32)), np.float32(31)))
        beside = nearest + 1 if place > nearest else nearest - 1
        best, best_product, best_squared = np.float32(0), np.float32(0), np.float32(0)
        multiples[group] = 0
        for multiple in (nearest, beside):
            if multiple != 0 and -32 <= multiple <= 31:
                times = np.float32(multiple)
                product, squared = _search(numbers, numbers + 4 * 256, step * times)
                product, squared = times * product, times * times * squared
                left = step * step * squared - np.float32(2) * step * product
                if left < best:
                    best, best_product, best_squared = left, product, squared
                    multiples[group] = multiple
        all_product += best_product
        all_squared += best_squared
    return all_product, all_squared


@njit(**NJIT_OPTIONS)
def encode_iq4_xs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    work = np.empty((2, 256), np.float32)
    suited = np.empty(8, np.float32)
    multiples = np.zeros(8, np.int64)
    for row in range(first, last):
        for block in range(values.shape[1] // 256):
            out = blocks[row, 136 * block : 136 * block + 136]
            out[:] = 0
            here = slice(256 * block, 256 * block + 256)
            unit = weigh_block(values[row, here], importance[here], work[_VALUES], work[_WEIGHTS])
            if unit == 0:
                continue
            largest = np.float32(0)
            for group in range(8):
                suited[group] = _suited_scale(work, 32 * group)
                if abs(suited[group]) > abs(largest):
                    largest = suited[group]
            half = nearest_half(largest / -32 * unit)
            product, squared = _choose_multiples(work, suited, multiples, np.float32(half / unit))
            for _ in range(_REFITS):
                if squared > 0:
                    half = nearest_half(product / squared * unit)
                    product, squared = _choose_multiples(
                        work, suited, multiples, np.float32(half / unit)
                    )
            # A subnormal half may be so far off that no multiple but 0 is any good.
            if squared == 0:
                continue
            _put_superblock(work, multiples, half, np.float32(half / unit), out.ctypes.data)


@njit(**NJIT_OPTIONS)
def _put_superblock(
    work: npt.NDArray[np.float32],
    multiples: npt.NDArray[np.int64],
    half: np.float32,
    step: np.float32,
    out: int,
) -> None:
    put_float_as_half(out, half)
    high = 0
    for group in range(8):
        high |= (multiples[group] + 32 >> 4) << 2 * group
    put_half(out + 2, high)
    for pair in range(4):
        first, second = multiples[2 * pair] + 32, multiples[2 * pair + 1] + 32
        put_byte(out + 4 + pair, first & 15 | (second & 15) << 4)
    for group in range(8):
        if multiples[group] != 0:
            numbers = work.ctypes.data + 128 * group
            scale = step * np.float32(multiples[group])
            _put_codes(numbers, scale, out + 8 + 16 * group)
