"""Writing the K-quants: blocks of 256 in groups of 16 or 32, two levels of scales.

Field orders: ggml-common.h, structs block_q2_K to block_q6_K; see encodings/k_quants.py. Scales are
found for sixteen groups at once (``quantize_search``, ``quantize_k_scales``): a block's, or two
blocks'. Codes are then taken from the numbers as they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels import simd, simd_lanes
from stillhouse.kernels.block_fields import put_byte, put_float_as_half
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.quantize_k_scales import nest_affine, nest_symmetric
from stillhouse.kernels.quantize_search import (
    F,
    gather,
    inverse_of,
    search_affine,
    search_symmetric,
    weigh_by_size,
)

Values = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.uint8]

# Scratch: three buffers of float32 (32, 16), then vectors of 64 bytes, then addresses.
_X, _W, _Y = 0, 2048, 4096
_D, _DMIN, _SCALES, _MINIMUMS, _INVERSES, _SHIFTS = (6144 + 64 * n for n in range(6))
_ADDRESSES, _SCRATCH_BYTES = 6656, 6784


@njit(inline="always", **NJIT_OPTIONS)
def _gather_blocks(
    values: int, importance: int, block: int, blocks: int, blocks_per_row: int, width: int, at: int
) -> None:
    """Sixteen groups from ``block`` on and their weights; the last block stands in for those after
    it. ``importance``: its address, 0 for none.
    """
    n = 256 // width
    for lane in range(16):
        number, group = min(block + lane // width, blocks - 1), lane % width * n
        simd.store_i64(at + _ADDRESSES + 8 * lane, values + 4 * (256 * number + group))
    gather(at + _ADDRESSES, n, at + _X)
    if importance != 0:
        for lane in range(16):
            number, group = min(block + lane // width, blocks - 1), lane % width * n
            column = 256 * (number % blocks_per_row) + group
            simd.store_i64(at + _ADDRESSES + 8 * lane, importance + 4 * column)
        gather(at + _ADDRESSES, n, at + _W)
    else:
        weigh_by_size(at + _X, n, width, at + _W)


@njit(inline="always", **NJIT_OPTIONS)
def _codes(at: int, group: int, values: int, lowest: int, highest: int) -> Any:
    """Codes of sixteen numbers, by the inverse scale and the shift of their group."""
    inverse = simd.broadcast_load(at + _INVERSES + 4 * group)
    shift = simd.broadcast_load(at + _SHIFTS + 4 * group)
    v = simd.fma(simd.load(values), inverse, shift)
    v = simd.maximum(v, simd.splat_f32(F(lowest)))
    return simd.round_to_i32(simd_lanes.minimum(v, simd.splat_f32(F(highest))))


@njit(**NJIT_OPTIONS)
def _affine_scales(
    at: int, width: int, levels: int, scale_levels: int, tries: int, start: float, step: float,
    rounds: int, reach: int, nest_rounds: int,
) -> None:  # fmt: skip
    """Everything the codes of sixteen groups need, into the scratch at ``at``."""
    n = 256 // width
    scale, minimum = search_affine(
        at + _X, at + _W, n, levels, tries, start, step, rounds, True, at + _Y
    )
    d, dmin, scales, minimums = nest_affine(
        at + _X, at + _W, n, levels, scale, minimum, scale_levels, width, reach, nest_rounds
    )
    inverse = inverse_of(simd.mul(d, scales))
    simd.store(at + _D, d)
    simd.store(at + _DMIN, dmin)
    simd.store(at + _SCALES, simd.round_to_i32(scales))
    simd.store(at + _MINIMUMS, simd.round_to_i32(minimums))
    simd.store(at + _INVERSES, inverse)
    simd.store(at + _SHIFTS, simd.mul(simd.mul(dmin, minimums), inverse))


@njit(**NJIT_OPTIONS)
def _symmetric_scales(
    at: int, levels: int, scale_levels: int, tries: int, step: float, both_signs: bool,
    reach: int, rounds: int,
) -> None:  # fmt: skip
    scale = search_symmetric(at + _X, at + _W, 16, levels, tries, step, both_signs)
    d, scales = nest_symmetric(at + _X, at + _W, 16, levels, scale, scale_levels, reach, rounds)
    simd.store(at + _D, d)
    simd.store(at + _SCALES, simd.round_to_i32(scales))
    simd.store(at + _INVERSES, inverse_of(simd.mul(d, scales)))
    simd.store(at + _SHIFTS, simd.zeros())


@njit(inline="always", **NJIT_OPTIONS)
def _scale_of(at: int, lane: int) -> int:
    return int(simd.load_i32(at + _SCALES + 4 * lane))


@njit(inline="always", **NJIT_OPTIONS)
def _minimum_of(at: int, lane: int) -> int:
    return int(simd.load_i32(at + _MINIMUMS + 4 * lane))


@njit(inline="always", **NJIT_OPTIONS)
def _put_scales_and_minimums(at: int, lane: int, out: int) -> None:
    """Q4_K's and Q5_K's d, dmin, and twelve bytes of 6-bit scales and minimums."""
    put_float_as_half(out, simd.load_f32(at + _D + 4 * lane))
    put_float_as_half(out + 2, simd.load_f32(at + _DMIN + 4 * lane))
    for group in range(4):
        scale, minimum = _scale_of(at, lane + group), _minimum_of(at, lane + group)
        later, later_min = _scale_of(at, lane + group + 4), _minimum_of(at, lane + group + 4)
        put_byte(out + 4 + group, scale | later >> 4 << 6)
        put_byte(out + 8 + group, minimum | later_min >> 4 << 6)
        put_byte(out + 12 + group, later & 15 | (later_min & 15) << 4)


@njit(**NJIT_OPTIONS)
def encode_q4_k(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Two blocks at a time: sixteen groups of 32, codes 0 to 15, scales and minimums 0 to 63."""
    per_row = values.shape[1] // 256
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 2):
        _gather_blocks(source, weights, block, total, per_row, 8, at)
        _affine_scales(at, 8, 15, 63, 16, -2.0, 0.25, 1, 1, 2)
        for lane in range(0, 8 * min(2, total - block), 8):
            x = source + 4 * (256 * block + 32 * lane)
            out = target + 144 * (block + lane // 8)
            _put_scales_and_minimums(at, lane, out)
            for part in range(8):  # sixteen bytes: half a pair of groups
                group, start = lane + part // 2 * 2, x + 256 * (part // 2) + 64 * (part % 2)
                low = _codes(at, group, start, 0, 15)
                high = simd.shift_left(_codes(at, group + 1, start + 128, 0, 15), 4)
                simd.store_low_bytes(out + 16 + 16 * part, simd.or_bits(low, high))


@njit(**NJIT_OPTIONS)
def encode_q5_k(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """As Q4_K, with codes 0 to 31: group g's fifth bits are bit g of 32 bytes."""
    per_row = values.shape[1] // 256
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 2):
        _gather_blocks(source, weights, block, total, per_row, 8, at)
        _affine_scales(at, 8, 31, 63, 16, -3.0, 0.3, 0, 2, 2)
        for lane in range(0, 8 * min(2, total - block), 8):
            x = source + 4 * (256 * block + 32 * lane)
            out = target + 176 * (block + lane // 8)
            _put_scales_and_minimums(at, lane, out)
            for half in range(2):
                fifths = simd.zeros()
                for pair in range(4):
                    start = x + 256 * pair + 64 * half
                    low = _codes(at, lane + 2 * pair, start, 0, 31)
                    high = _codes(at, lane + 2 * pair + 1, start + 128, 0, 31)
                    fifth = simd.or_bits(
                        simd.shift_right(low, 4),
                        simd.and_constant(simd.shift_right(high, 3), 2),
                    )
                    fifths = simd.or_bits(fifths, simd.shift_left(fifth, 2 * pair))
                    packed = simd.or_bits(simd.and_constant(low, 15), simd.shift_left(high, 4))
                    simd.store_low_bytes(out + 48 + 32 * pair + 16 * half, packed)
                simd.store_low_bytes(out + 16 + 16 * half, fifths)


@njit(**NJIT_OPTIONS)
def encode_q2_k(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Sixteen groups of 16, codes 0 to 3, scales and minimums 0 to 15 in the halves of a byte."""
    per_row = values.shape[1] // 256
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(total):
        _gather_blocks(source, weights, block, total, per_row, 16, at)
        _affine_scales(at, 16, 3, 15, 16, -0.6, 0.1, 2, 1, 2)
        x, out = source + 1024 * block, target + 84 * block
        put_float_as_half(out + 80, simd.load_f32(at + _D))
        put_float_as_half(out + 82, simd.load_f32(at + _DMIN))
        for group in range(16):
            put_byte(out + group, _scale_of(at, group) | _minimum_of(at, group) << 4)
        for part in range(4):  # sixteen bytes: every second of eight groups
            packed = simd.zeros()
            for plane in range(4):
                group = 8 * (part // 2) + 2 * plane + part % 2
                codes = _codes(at, group, x + 64 * group, 0, 3)
                packed = simd.or_bits(packed, simd.shift_left(codes, 2 * plane))
            simd.store_low_bytes(out + 16 + 16 * part, packed)


@njit(**NJIT_OPTIONS)
def encode_q3_k(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Sixteen groups of 16, codes -4 to 3, scales -32 to 31."""
    per_row = values.shape[1] // 256
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    four = simd.splat_i32(4)
    for block in range(total):
        _gather_blocks(source, weights, block, total, per_row, 16, at)
        _symmetric_scales(at, 4, 32, 5, 0.3, True, 1, 2)
        x, out = source + 1024 * block, target + 110 * block
        put_float_as_half(out + 108, simd.load_f32(at + _D))
        for group in range(8):
            low, high = _scale_of(at, group) + 32, _scale_of(at, group + 8) + 32
            put_byte(out + 96 + group, low & 15 | (high & 15) << 4)
        for n in range(4):
            bits = 0
            for plane in range(4):
                bits |= (_scale_of(at, 4 * plane + n) + 32) >> 4 << 2 * plane
            put_byte(out + 104 + n, bits)
        for half in range(2):  # sixteen bytes of high bits: every second group
            thirds = simd.zeros()
            for part in range(2):
                packed = simd.zeros()
                for plane in range(4):
                    group = 8 * part + 2 * plane + half
                    codes = simd.add_i32(_codes(at, group, x + 64 * group, -4, 3), four)
                    packed = simd.or_bits(
                        packed, simd.shift_left(simd.and_constant(codes, 3), 2 * plane)
                    )
                    thirds = simd.or_bits(
                        thirds, simd.shift_left(simd.shift_right(codes, 2), 4 * part + plane)
                    )
                simd.store_low_bytes(out + 32 + 32 * part + 16 * half, packed)
            simd.store_low_bytes(out + 16 * half, thirds)


@njit(**NJIT_OPTIONS)
def encode_q6_k(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Sixteen groups of 16, codes -32 to 31, scales -128 to 127."""
    per_row = values.shape[1] // 256
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    offset = simd.splat_i32(32)
    for block in range(total):
        _gather_blocks(source, weights, block, total, per_row, 16, at)
        _symmetric_scales(at, 32, 128, 12, 0.6, False, 2, 2)
        x, out = source + 1024 * block, target + 210 * block
        put_float_as_half(out + 208, simd.load_f32(at + _D))
        for group in range(16):
            put_byte(out + 192 + group, _scale_of(at, group))
        for part in range(4):  # sixteen bytes of high bits: every second of eight groups
            half, odd = part // 2, part % 2
            high = simd.zeros()
            for plane in range(2):
                group = 8 * half + 2 * plane + odd
                near = simd.add_i32(_codes(at, group, x + 64 * group, -32, 31), offset)
                far = simd.add_i32(_codes(at, group + 4, x + 64 * group + 256, -32, 31), offset)
                low = simd.or_bits(
                    simd.and_constant(near, 15), simd.shift_left(simd.and_constant(far, 15), 4)
                )
                simd.store_low_bytes(out + 64 * half + 32 * plane + 16 * odd, low)
                bits = simd.or_bits(
                    simd.shift_right(near, 4), simd.shift_left(simd.shift_right(far, 4), 4)
                )
                high = simd.or_bits(high, simd.shift_left(bits, 2 * plane))
            simd.store_low_bytes(out + 128 + 32 * half + 16 * odd, high)
