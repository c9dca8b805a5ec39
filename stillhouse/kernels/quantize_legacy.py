"""Writing the formats of 32 numbers that share one scale, and a minimum in the "_1" ones.

Layouts: ggml-common.h, structs block_q4_0 to block_q8_0; see encodings/legacy.py. Q8_0 takes the
scale that makes the largest number 127. The others search (``quantize_search``), sixteen blocks at
once, and longer where importance is known: without it ggml rounds to the plain scale, and a short
search costs no more time than that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels import simd, simd_lanes
from stillhouse.kernels.block_fields import put_float_as_half
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.quantize_search import (
    F,
    gather,
    half_of,
    inverse_of,
    search_affine,
    search_symmetric,
    weigh_by_size,
)

Values = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.uint8]

# Scratch: three buffers of float32 (32, 16), then vectors of 64 bytes, then addresses.
_X, _W, _Y = 0, 2048, 4096
_SCALES, _MINIMUMS, _INVERSES, _SHIFTS = (6144 + 64 * n for n in range(4))
_ADDRESSES, _SCRATCH_BYTES = 6400, 6528


@njit(**NJIT_OPTIONS)
def encode_q8_0(values: Values, _importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Codes -127 to 127, with the scale that makes the largest of 32 numbers 127."""
    source = values.ctypes.data + 4 * first * values.shape[1]
    target = blocks.ctypes.data + first * blocks.shape[1]
    for block in range((last - first) * (values.shape[1] // 32)):
        at, out = source + 128 * block, target + 34 * block
        low, high = simd.load(at), simd.load(at + 64)
        peak = simd.max_lanes(simd.maximum(simd.magnitude(low), simd.magnitude(high)))
        scale = peak / F(127)
        inverse = F(0)
        if scale > 0:
            inverse = F(1) / scale
        put_float_as_half(out, scale)
        factor = simd.splat_f32(inverse)
        simd.store_low_bytes(out + 2, simd.round_to_i32(simd.mul(low, factor)))
        simd.store_low_bytes(out + 18, simd.round_to_i32(simd.mul(high, factor)))


@njit(inline="always", **NJIT_OPTIONS)
def _gather_blocks(
    values: int, importance: int, block: int, blocks: int, blocks_per_row: int, at: int
) -> None:
    """Sixteen blocks from ``block`` on and their weights; the last one stands in for those after
    it. ``importance``: its address, 0 for none.
    """
    for lane in range(16):
        number = min(block + lane, blocks - 1)
        simd.store_i64(at + _ADDRESSES + 8 * lane, values + 128 * number)
    gather(at + _ADDRESSES, 32, at + _X)
    if importance != 0:
        for lane in range(16):
            number = min(block + lane, blocks - 1)
            simd.store_i64(at + _ADDRESSES + 8 * lane, importance + 128 * (number % blocks_per_row))
        gather(at + _ADDRESSES, 32, at + _W)
    else:
        weigh_by_size(at + _X, 32, 1, at + _W)


@njit(**NJIT_OPTIONS)
def _symmetric_scales(at: int, levels: int, tries: int, step: float, both_signs: bool) -> None:
    scale = half_of(search_symmetric(at + _X, at + _W, 32, levels, tries, step, both_signs))
    simd.store(at + _SCALES, scale)
    simd.store(at + _INVERSES, inverse_of(scale))
    simd.store(at + _SHIFTS, simd.splat_f32(F(levels)))


@njit(**NJIT_OPTIONS)
def _affine_scales(
    at: int, levels: int, tries: int, start: float, step: float, rounds: int
) -> None:
    scale, minimum = search_affine(
        at + _X, at + _W, 32, levels, tries, start, step, rounds, False, at + _Y
    )
    scale, minimum = half_of(scale), half_of(minimum)
    inverse = inverse_of(scale)
    simd.store(at + _SCALES, scale)
    simd.store(at + _MINIMUMS, simd.sub(simd.zeros(), minimum))
    simd.store(at + _INVERSES, inverse)
    simd.store(at + _SHIFTS, simd.mul(minimum, inverse))


@njit(inline="always", **NJIT_OPTIONS)
def _codes(at: int, lane: int, values: int, highest: int) -> Any:
    """Codes of sixteen numbers from 0 on, by the inverse scale and the shift of their block."""
    inverse = simd.broadcast_load(at + _INVERSES + 4 * lane)
    shift = simd.broadcast_load(at + _SHIFTS + 4 * lane)
    v = simd.maximum(simd.fma(simd.load(values), inverse, shift), simd.zeros())
    return simd.round_to_i32(simd_lanes.minimum(v, simd.splat_f32(F(highest))))


@njit(inline="always", **NJIT_OPTIONS)
def _put_four_bits(low: Any, high: Any, out: int) -> None:
    packed = simd.or_bits(simd.and_constant(low, 15), simd.shift_left(high, 4))
    simd.store_low_bytes(out, packed)


@njit(inline="always", **NJIT_OPTIONS)
def _put_five_bits(low: Any, high: Any, out: int) -> None:
    """Four bytes of fifth bits, then sixteen of the low bits."""
    fifths = simd_lanes.bits_set(low, 16) | simd_lanes.bits_set(high, 16) << 16
    simd.store_i32(out, fifths)
    _put_four_bits(low, high, out + 4)


@njit(**NJIT_OPTIONS)
def encode_q4_0(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Codes -8 to 7, stored from 0 on."""
    per_row = values.shape[1] // 32
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 16):
        _gather_blocks(source, weights, block, total, per_row, at)
        if weights:
            _symmetric_scales(at, 8, 6, 0.3, True)
        else:
            _symmetric_scales(at, 8, 4, 0.4, False)
        for lane in range(min(16, total - block)):
            x, out = source + 128 * (block + lane), target + 18 * (block + lane)
            put_float_as_half(out, simd.load_f32(at + _SCALES + 4 * lane))
            _put_four_bits(_codes(at, lane, x, 15), _codes(at, lane, x + 64, 15), out + 2)


@njit(**NJIT_OPTIONS)
def encode_q5_0(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Codes -16 to 15, stored from 0 on."""
    per_row = values.shape[1] // 32
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 16):
        _gather_blocks(source, weights, block, total, per_row, at)
        if weights:
            _symmetric_scales(at, 16, 8, 0.45, True)
        else:
            _symmetric_scales(at, 16, 4, 0.6, False)
        for lane in range(min(16, total - block)):
            x, out = source + 128 * (block + lane), target + 22 * (block + lane)
            put_float_as_half(out, simd.load_f32(at + _SCALES + 4 * lane))
            _put_five_bits(_codes(at, lane, x, 31), _codes(at, lane, x + 64, 31), out + 2)


@njit(**NJIT_OPTIONS)
def encode_q4_1(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Codes 0 to 15 above a minimum of any sign."""
    per_row = values.shape[1] // 32
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 16):
        _gather_blocks(source, weights, block, total, per_row, at)
        if weights:
            _affine_scales(at, 15, 12, -1.5, 0.3, 2)
        else:
            _affine_scales(at, 15, 1, -0.8, 0.0, 0)
        for lane in range(min(16, total - block)):
            x, out = source + 128 * (block + lane), target + 20 * (block + lane)
            put_float_as_half(out, simd.load_f32(at + _SCALES + 4 * lane))
            put_float_as_half(out + 2, simd.load_f32(at + _MINIMUMS + 4 * lane))
            _put_four_bits(_codes(at, lane, x, 15), _codes(at, lane, x + 64, 15), out + 4)


@njit(**NJIT_OPTIONS)
def encode_q5_1(values: Values, importance: Values, blocks: Blocks, first: int, last: int) -> None:
    """Codes 0 to 31 above a minimum of any sign."""
    per_row = values.shape[1] // 32
    total = (last - first) * per_row
    source = values.ctypes.data + 4 * first * values.shape[1]
    weights = importance.ctypes.data if importance.size else 0
    target = blocks.ctypes.data + first * blocks.shape[1]
    scratch = np.empty(_SCRATCH_BYTES, np.uint8)
    at = scratch.ctypes.data
    for block in range(0, total, 16):
        _gather_blocks(source, weights, block, total, per_row, at)
        if weights:
            _affine_scales(at, 31, 16, -3.0, 0.35, 2)
        else:
            _affine_scales(at, 31, 6, -2.0, 0.8, 0)
        for lane in range(min(16, total - block)):
            x, out = source + 128 * (block + lane), target + 24 * (block + lane)
            put_float_as_half(out, simd.load_f32(at + _SCALES + 4 * lane))
            put_float_as_half(out + 2, simd.load_f32(at + _MINIMUMS + 4 * lane))
            _put_five_bits(_codes(at, lane, x, 31), _codes(at, lane, x + 64, 31), out + 4)
