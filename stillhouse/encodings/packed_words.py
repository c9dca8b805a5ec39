"""Codes of 1 to 8 bits in 32-bit words, as compressed-tensors packs them ("pack-quantized")."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


def unpack_words(words: Integers, bits: int, first: int, last: int) -> npt.NDArray[np.int8]:
    """Codes ``first`` to ``last`` of each row: (rows, words) int32 to (rows, last - first) int8.

    Code i stands at bit i * bits of its row's words, lowest bits first, and may straddle two of
    them; stored is code + 2^(bits - 1), so that no code is negative. Source: compressed-tensors,
    pack_quantized/helpers.py.
    """
    middle = 1 << (bits - 1)
    if 8 % bits == 0 and first * bits % 8 == 0:  # whole codes in each byte: several times faster
        start, end = first * bits // 8, -(-last * bits // 8)
        packed = np.ascontiguousarray(words).view(np.uint8)[:, start:end, np.newaxis]
        spread = packed >> np.arange(0, 8, bits, dtype=np.uint8) & np.uint8((1 << bits) - 1)
        spread = spread.reshape(len(words), -1)[:, : last - first]
        return (spread - np.uint8(middle)).view(np.int8)
    starts = np.arange(first, last) * bits
    at, shift = starts // 32, (starts % 32).astype(np.uint32)
    padded = np.pad(words.view(np.uint32), ((0, 0), (0, 1)))
    low = padded[:, at] >> shift
    # A shift by 32 is undefined: in two steps, of which the second may be by 31.
    high = padded[:, at + 1] << (31 - shift) << np.uint32(1)
    codes = (low | high) & np.uint32((1 << bits) - 1)
    return (codes.astype(np.int16) - middle).astype(np.int8)


def pack_words(codes: npt.NDArray[np.int8], bits: int) -> npt.NDArray[np.int32]:
    """What `unpack_words` reads: (rows, n) codes of -2^(bits - 1) and more to (rows, words).

    Bits behind a row's last code are 0.
    """
    rows, count = codes.shape
    stored = (codes.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    single = stored[:, :, np.newaxis] >> np.arange(bits, dtype=np.uint8) & np.uint8(1)
    padded = np.zeros((rows, words_for(count, bits) * 32), np.uint8)
    padded[:, : count * bits] = single.reshape(rows, -1)
    return np.packbits(padded, axis=1, bitorder="little").view("<i4").astype(np.int32)


def words_for(count: int, bits: int) -> int:
    """Words that ``count`` codes take."""
    return -(-count * bits // 32)
