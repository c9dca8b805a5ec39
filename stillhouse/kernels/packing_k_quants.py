"""The K-quants' blocks taken apart: scales into a record, 256 codes as bytes into a scratch.

Field orders: ggml-common.h, structs block_q2_K to block_q6_K; see encodings/k_quants.py.
"""

from __future__ import annotations

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import load_byte, load_half, load_word, put_half
from stillhouse.kernels.compiler import NJIT_OPTIONS


@njit(inline="always", **NJIT_OPTIONS)
def _put_k_scales(block: int, record: int, row: int) -> None:
    """Q4_K and Q5_K: d, dmin, and eight 6-bit scales and minima in twelve bytes."""
    put_half(record + 2 * row, load_half(block))
    put_half(record + 32 + 2 * row, load_half(block + 2))
    for group in range(8):
        if group < 4:
            scale, minimum = load_byte(block + 4 + group) & 63, load_byte(block + 8 + group) & 63
        else:
            low = load_byte(block + 8 + group)
            scale = (low & 15) | load_byte(block + group) >> 6 << 4
            minimum = low >> 4 | load_byte(block + 4 + group) >> 6 << 4
        simd.store_i8(record + 64 + 16 * group + row, scale)
        simd.store_i8(record + 192 + 64 * (group // 4) + 4 * row + group % 4, minimum)


@njit(inline="always", **NJIT_OPTIONS)
def split_q4_k(block: int, record: int, codes: int, row: int) -> None:
    _put_k_scales(block, record, row)
    for pair in range(4):
        for n in range(8):
            packed = load_word(block + 16 + 32 * pair + 4 * n)
            simd.store_i32(codes + 64 * pair + 4 * n, packed & 0x0F0F0F0F)
            simd.store_i32(codes + 64 * pair + 32 + 4 * n, packed >> 4 & 0x0F0F0F0F)


@njit(inline="always", **NJIT_OPTIONS)
def split_q5_k(block: int, record: int, codes: int, row: int) -> None:
    _put_k_scales(block, record, row)
    for pair in range(4):
        for n in range(8):
            packed = load_word(block + 48 + 32 * pair + 4 * n)
            high = load_word(block + 16 + 4 * n) >> 2 * pair
            low_codes = packed & 0x0F0F0F0F | (high & 0x01010101) << 4
            high_codes = packed >> 4 & 0x0F0F0F0F | (high >> 1 & 0x01010101) << 4
            simd.store_i32(codes + 64 * pair + 4 * n, low_codes)
            simd.store_i32(codes + 64 * pair + 32 + 4 * n, high_codes)


@njit(inline="always", **NJIT_OPTIONS)
def split_q6_k(block: int, record: int, codes: int, row: int) -> None:
    put_half(record + 2 * row, load_half(block + 208))
    for group in range(16):
        simd.store_i8(record + 32 + 16 * group + row, load_byte(block + 192 + group))
    for half in range(2):
        for n in range(8):
            low = load_word(block + 64 * half + 4 * n)
            next_low = load_word(block + 64 * half + 32 + 4 * n)
            high = load_word(block + 128 + 32 * half + 4 * n)
            at = codes + 128 * half + 4 * n
            simd.store_i32(at, low & 0x0F0F0F0F | (high & 0x03030303) << 4)
            simd.store_i32(at + 32, next_low & 0x0F0F0F0F | (high >> 2 & 0x03030303) << 4)
            simd.store_i32(at + 64, low >> 4 & 0x0F0F0F0F | (high >> 4 & 0x03030303) << 4)
            simd.store_i32(at + 96, next_low >> 4 & 0x0F0F0F0F | (high >> 6 & 0x03030303) << 4)


@njit(inline="always", **NJIT_OPTIONS)
def _split_pairs(packed: int, codes: int) -> None:
    """64 bytes of 2-bit codes: in each run of 32 bytes the lowest bits are 32 codes, then the
    next.
    """
    for n in range(16):
        four = load_word(packed + 4 * n)
        at = codes + 128 * (n // 8) + 4 * (n % 8)
        for plane in range(4):
            simd.store_i32(at + 32 * plane, four >> 2 * plane & 0x03030303)


@njit(inline="always", **NJIT_OPTIONS)
def split_q2_k(block: int, record: int, codes: int, row: int) -> None:
    """A byte of the file holds one group's scale (low half) and minimum."""
    put_half(record + 2 * row, load_half(block + 80))
    put_half(record + 32 + 2 * row, load_half(block + 82))
    for pair in range(8):
        first, second = load_byte(block + 2 * pair), load_byte(block + 2 * pair + 1)
        simd.store_i8(record + 64 + 16 * pair + row, first & 15 | (second & 15) << 4)
    for half in range(2):
        low, high = 0, 0
        for n in range(4):
            low |= load_byte(block + 8 * half + 2 * n) >> 4 << 4 * n
            high |= load_byte(block + 8 * half + 2 * n + 1) >> 4 << 4 * n
        simd.store_i32(record + 192 + 64 * half + 4 * row, low | high << 16)
    _split_pairs(block + 16, codes)


@njit(inline="always", **NJIT_OPTIONS)
def split_q3_k(block: int, record: int, codes: int, row: int) -> None:
    """Scales count from 32; their two high bits lie four to a byte."""
    put_half(record + 2 * row, load_half(block + 108))
    for group in range(16):
        low = load_byte(block + 96 + group % 8) >> 4 * (group // 8) & 15
        high = load_byte(block + 104 + group % 4) >> 2 * (group // 4) & 3
        simd.store_i8(record + 32 + 16 * group + row, (low | high << 4) - 32)
    _split_pairs(block + 32, codes)
    for n in range(8):
        bits = load_word(block + 4 * n)
        for plane in range(8):
            at = codes + 32 * plane + 4 * n
            simd.store_i32(at, load_word(at) | (bits >> plane & 0x01010101) << 2)
