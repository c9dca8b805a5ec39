"""Blocks of the grid formats taken apart: indices, signs and 4-bit scales (see grids.py).

Field orders: ggml-common.h, structs block_iq2_xxs to block_iq3_s; see encodings/i_quants.py.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import load_byte, load_half, load_word, put_half
from stillhouse.kernels.compiler import NJIT_OPTIONS

KINDS = {"IQ2_XXS": 0, "IQ2_XS": 1, "IQ2_S": 2, "IQ3_XXS": 3, "IQ3_S": 4}
_XXS2, _XS2, _S2, _XXS3, _S3 = range(5)


@njit(inline="always", **NJIT_OPTIONS)
def _with_eighth(seven: int) -> int:
    """Seven sign bits, and an eighth that makes their number even."""
    odd = seven ^ seven >> 4
    odd ^= odd >> 2
    return seven | ((odd ^ odd >> 1) & 1) << 7


@njit(inline="always", **NJIT_OPTIONS)
def _signs(kind: int, block: int, chunk: int) -> Any:
    """A chunk's 32 signs, the first column's in the lowest bit."""
    if kind == _S2:
        return load_word(block + 34 + 4 * chunk)
    if kind == _S3:
        return load_word(block + 74 + 4 * chunk)
    signs = 0
    for n in range(4):
        if kind == _XS2:
            seven = load_half(block + 2 + 8 * chunk + 2 * n) >> 9
        elif kind == _XXS2:
            seven = load_word(block + 6 + 8 * chunk) >> 7 * n & 127
        else:
            seven = load_word(block + 66 + 4 * chunk) >> 7 * n & 127
        signs |= _with_eighth(seven) << 8 * n
    return signs


@njit(inline="always", **NJIT_OPTIONS)
def _index(kind: int, block: int, chunk: int, n: int) -> Any:
    """A chunk's point number ``n``."""
    if kind == _XXS2:
        return load_byte(block + 2 + 8 * chunk + n)
    if kind == _XS2:
        return load_half(block + 2 + 8 * chunk + 2 * n) & 511
    if kind == _S2:
        high = load_byte(block + 66 + chunk) >> 2 * n & 3
        return load_byte(block + 2 + 4 * chunk + n) | high << 8
    index = load_byte(block + 2 + 8 * chunk + n)
    if kind == _S3:
        index |= (load_byte(block + 66 + chunk) >> n & 1) << 8
    return index


@njit(inline="always", **NJIT_OPTIONS)
def _two_scales(kind: int, block: int, pair: int) -> Any:
    """The scales of groups 2 * pair (low half) and 2 * pair + 1."""
    if kind == _XS2:
        return load_byte(block + 66 + pair)
    if kind == _S2:
        return load_byte(block + 74 + pair)
    if kind == _S3:
        return load_byte(block + 106 + pair)
    first, step = (block + 6 + 16 * pair, 8) if kind == _XXS2 else (block + 66 + 8 * pair, 4)
    return load_word(first) >> 28 | load_word(first + step) >> 28 << 4


@njit(**NJIT_OPTIONS)
def pack_grids(
    kind: int, columns: int, high_bits: int, pairs: int, record_bytes: int, codes_at: int,
    chunk_bytes: int, block_bytes: int, source: int, rows: int, records: int, packed: int,
    first: int, last: int,
) -> None:  # fmt: skip
    """Pack panels first to last into zeroed memory. ``kind``: see KINDS; ``columns`` a point has;
    ``pairs`` of scales a row and record.
    """
    for panel in range(first, last):
        for r in range(records):
            record = packed + (panel * records + r) * record_bytes
            for row in range(16):
                # A panel that is not full repeats the last row; nobody reads what comes of it.
                number = min(panel * 16 + row, rows - 1)
                block = source + (number * records + r) * block_bytes
                put_half(record + 2 * row, load_half(block))
                for pair in range(pairs):
                    simd.store_i8(record + 32 + 16 * pair + row, _two_scales(kind, block, pair))
                for chunk in range(8):
                    _put_chunk(
                        kind, columns, high_bits, block, chunk,
                        record + codes_at + chunk * chunk_bytes, row,
                    )  # fmt: skip


@njit(inline="always", **NJIT_OPTIONS)
def _put_chunk(
    kind: int, columns: int, high_bits: int, block: int, chunk: int, at: int, row: int
) -> None:
    signs, vectors = _signs(kind, block, chunk), 8 // columns
    signs_at = at + 64 * vectors + 4 * row
    for number in range(4 * vectors):
        vector, byte = number // 4, number % 4
        index = _index(kind, block, chunk, number)
        simd.store_i8(at + 64 * vector + 4 * row + byte, index)
        own = signs >> columns * number & (1 << columns) - 1
        if vector == 1:
            own = load_byte(signs_at + byte) | own << 4
        simd.store_i8(signs_at + byte, own)
        for bit in range(high_bits):
            word = at + 64 * (vectors + 1) + 8 * (vector * high_bits + bit) + row // 2
            place = 4 * (row % 2) + byte
            simd.store_i8(word, load_byte(word) | (index >> (8 + bit) & 1) << place)
