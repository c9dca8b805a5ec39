"""Writing floats as floats: copied, or rounded to nearest, ties to even. And how large they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels import simd, simd_lanes
from stillhouse.kernels.block_fields import put_float_as_half
from stillhouse.kernels.compiler import NJIT_OPTIONS

Values = npt.NDArray[np.float32]
Blocks = npt.NDArray[np.uint8]


@njit(**NJIT_OPTIONS)
def measure_largest(values: Values, largest: Values, first: int, last: int) -> None:
    """The largest magnitude of rows, into one float; infinite or not a number where any is so.

    Magnitudes are compared as integers: the bits of infinity come after all finite numbers', and
    those of what is not a number after infinity's.
    """
    count = (last - first) * values.shape[1]
    source = values.ctypes.data + 4 * first * values.shape[1]
    peaks = np.zeros(16, np.float32)
    peak = simd.zeros()
    whole = count // 16 * 16
    for n in range(0, whole, 16):
        peak = simd_lanes.maximum_i32(peak, simd.magnitude(simd.load(source + 4 * n)))
    for n in range(whole, count):
        peak = simd_lanes.maximum_i32(peak, simd.magnitude(simd.broadcast_load(source + 4 * n)))
    simd.store(peaks.ctypes.data, peak)
    bits = 0
    for lane in range(16):
        bits = max(bits, simd.load_i32(peaks.ctypes.data + 4 * lane))
    simd.store_i32(largest.ctypes.data, bits)


@njit(**NJIT_OPTIONS)
def encode_f32(values: Values, _importance: Values, blocks: Blocks, first: int, last: int) -> None:
    count = (last - first) * values.shape[1]
    source = values.ctypes.data + 4 * first * values.shape[1]
    target = blocks.ctypes.data + first * blocks.shape[1]
    whole = count // 16 * 16
    for n in range(0, whole, 16):
        simd.store(target + 4 * n, simd.load(source + 4 * n))
    for n in range(whole, count):
        simd.store_f32(target + 4 * n, simd.load_f32(source + 4 * n))


@njit(**NJIT_OPTIONS)
def encode_f16(values: Values, _importance: Values, blocks: Blocks, first: int, last: int) -> None:
    count = (last - first) * values.shape[1]
    source = values.ctypes.data + 4 * first * values.shape[1]
    target = blocks.ctypes.data + first * blocks.shape[1]
    whole = count // 16 * 16
    for n in range(0, whole, 16):
        simd_lanes.store_as_half(target + 2 * n, simd.load(source + 4 * n))
    for n in range(whole, count):
        put_float_as_half(target + 2 * n, simd.load_f32(source + 4 * n))


@njit(**NJIT_OPTIONS)
def encode_bf16(values: Values, _importance: Values, blocks: Blocks, first: int, last: int) -> None:
    count = (last - first) * values.shape[1]
    source = values.ctypes.data + 4 * first * values.shape[1]
    target = blocks.ctypes.data + first * blocks.shape[1]
    whole = count // 16 * 16
    for n in range(0, whole, 16):
        simd.store_as_bf16(target + 2 * n, simd.load(source + 4 * n))
    for n in range(whole, count):
        simd.store_bf16(target + 2 * n, simd.load_f32(source + 4 * n))
