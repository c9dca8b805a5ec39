"""The "I" formats: codes looked up in a table of 16 values (IQ4) or a grid of points (IQ1 to IQ3).

A grid's point is 8 (4 for IQ3) magnitudes at once; their signs are bits beside it. Where only 7
sign bits are stored, the eighth makes the number of minus signs even. Layouts: ggml-common.h,
structs block_iq4_nl to block_iq1_m.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.encodings import i_quant_grids as grids
from stillhouse.encodings.bits import half, split_bits, words
from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding, Floats, Integers

IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


class IQ4_NL(Encoding):
    """d fp16, 16 bytes of 4-bit indices into 16 values, denser around 0."""

    name, ggml_type, block_size, block_bytes = "IQ4_NL", 20, 32, 18

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = np.array(IQ4_VALUES, np.int8)[split_bits(blocks[:, 2:], 4, run=16)]
        return AffineBlocks(codes, half(blocks, 0), None, 32)


class IQ4_XS(Encoding):
    """d fp16, high 2 and low 4 bits of eight scales (2 and 4 bytes), 128 bytes as in IQ4_NL."""

    name, ggml_type, block_size, block_bytes = "IQ4_XS", 23, 256, 136

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = np.array(IQ4_VALUES, np.int8)[split_bits(blocks[:, 8:], 4, run=16)]
        scales = split_bits(blocks[:, 4:8], 4, run=1)
        scales |= split_bits(blocks[:, 2:4], 2, run=1) << np.uint8(4)
        scale = half(blocks, 0) * (scales.view(np.int8) - np.int8(32))
        return AffineBlocks(codes, scale, None, 32)


class IQ3_XXS(Encoding):
    """d fp16, 64 grid indices, then for each 32 numbers 4 x 7 signs and a 4-bit scale in a word."""

    name, ggml_type, block_size, block_bytes = "IQ3_XXS", 18, 256, 98

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        tails = words(blocks[:, 66:], 4)
        codes = _signed(grids.iq3_xxs()[blocks[:, 2:66]], _seven_signs(tails))
        return AffineBlocks(codes, _odd_halves(blocks, tails >> 28) * 0.5, None, 32)


class IQ3_S(Encoding):
    """d fp16, 64 low bytes of grid indices, 8 of ninth bits, 32 of signs, 4 of 4-bit scales."""

    name, ggml_type, block_size, block_bytes = "IQ3_S", 21, 256, 110

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        indices = blocks[:, 2:66] | split_bits(blocks[:, 66:74], 1, run=1).astype(np.uint16) << 8
        codes = _signed(grids.iq3_s()[indices], blocks[:, 74:106])
        scales = split_bits(blocks[:, 106:], 4, run=1)
        return AffineBlocks(codes, half(blocks, 0) * (2 * scales + 1), None, 32)


class IQ2_XXS(Encoding):
    """d fp16, then for each 32 numbers 4 grid indices, and a word of 4 x 7 signs and the scale."""

    name, ggml_type, block_size, block_bytes = "IQ2_XXS", 16, 256, 66

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        groups = blocks[:, 2:].reshape(-1, 8, 8)
        tails = words(blocks[:, 2:], 4)[:, 1::2]
        codes = _signed(grids.iq2_xxs()[groups[:, :, :4]], _seven_signs(tails))
        return AffineBlocks(codes, _odd_halves(blocks, tails >> 28) * 0.25, None, 32)


class IQ2_XS(Encoding):
    """d fp16, 32 words of 9 grid bits and 7 signs, 8 bytes of 4-bit scales; groups of 16."""

    name, ggml_type, block_size, block_bytes = "IQ2_XS", 17, 256, 74

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        packed = words(blocks[:, 2:66], 2)
        codes = _signed(grids.iq2_xs()[packed & 0x1FF], _eighth_sign(packed >> 9))
        scales = split_bits(blocks[:, 66:], 4, run=1)
        return AffineBlocks(codes, _odd_halves(blocks, scales) * 0.25, None, 16)


class IQ2_S(Encoding):
    """d fp16, 32 low bytes of grid indices, 32 of signs, 8 of high 2 bits, 8 of 4-bit scales."""

    name, ggml_type, block_size, block_bytes = "IQ2_S", 22, 256, 82

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        indices = blocks[:, 2:34] | split_bits(blocks[:, 66:74], 2, run=1).astype(np.uint16) << 8
        codes = _signed(grids.iq2_s()[indices], blocks[:, 34:66])
        scales = split_bits(blocks[:, 74:], 4, run=1)
        return AffineBlocks(codes, _odd_halves(blocks, scales) * 0.25, None, 16)


class IQ1_S(Encoding):
    """d fp16, 32 low bytes of grid indices, 8 words of 4 x 3 high bits, a scale and a shift's sign.

    A number is ``d * (2 * s + 1) * (point +- 1/8)``; codes are eight times the bracket.
    """

    name, ggml_type, block_size, block_bytes = "IQ1_S", 19, 256, 50

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        tails = words(blocks[:, 34:], 2)
        high = tails[:, :, np.newaxis] >> np.array([0, 3, 6, 9], np.uint32) & 7
        indices = blocks[:, 2:34] | high.reshape(-1, 32) << 8
        codes = _shifted(grids.iq1()[indices], np.repeat(tails >> 15, 4, axis=1))
        scale = half(blocks, 0) * (2 * (tails >> 12 & 7) + 1).astype(np.float32)
        return AffineBlocks(codes, scale * 0.125, None, 32)


class IQ1_M(Encoding):
    """As IQ1_S in groups of 16: 32 low bytes, 32 halves of 3 high bits and a shift, scales.

    Four last words hold 4 x 3 bits of scales each, and four bits of d, the lowest in the first.
    """

    name, ggml_type, block_size, block_bytes = "IQ1_M", 29, 256, 56

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        high = split_bits(blocks[:, 32:48], 4, run=1)
        indices = blocks[:, :32] | (high & 7).astype(np.uint16) << 8
        tails = words(blocks[:, 48:], 2)
        nibbles = tails >> 12 << np.array([0, 4, 8, 12], np.uint32)
        d = nibbles.sum(axis=1, dtype=np.uint16, keepdims=True).view(np.float16).astype(np.float32)
        scales = tails[:, :, np.newaxis] >> np.array([0, 3, 6, 9], np.uint32) & 7
        scale = d * (2 * scales.reshape(-1, 16) + 1).astype(np.float32)
        return AffineBlocks(_shifted(grids.iq1()[indices], high >> 3), scale * 0.125, None, 16)


def _signed(points: npt.NDArray[np.int8], signs: Bytes) -> Integers:
    """Negate coordinates: points (n, k, 8 or 4) and sign bytes (n, 32) -> codes (n, 256)."""
    codes = points.reshape(len(signs), 256)
    return np.negative(codes, out=codes, where=split_bits(signs, 1, run=1).view(np.bool_))


def _seven_signs(tails: npt.NDArray[np.uint32]) -> Bytes:
    """The four times seven low bits of words (n, 8), each completed: (n, 32)."""
    sevens = tails[:, :, np.newaxis] >> np.array([0, 7, 14, 21], np.uint32) & 0x7F
    return _eighth_sign(sevens.reshape(-1, 32))


def _eighth_sign(sevens: Integers) -> Bytes:
    return (sevens | (np.bitwise_count(sevens) & np.uint32(1)) << 7).astype(np.uint8)


def _odd_halves(blocks: Bytes, scales: Integers) -> Floats:
    return half(blocks, 0) * (scales.astype(np.float32) + np.float32(0.5))


def _shifted(points: npt.NDArray[np.int8], is_down: Integers) -> Integers:
    """Eight times the points, plus 1, or minus 1 where ``is_down``: (n, 32, 8) -> (n, 256)."""
    shift = 1 - 2 * is_down.astype(np.int8)
    return (8 * points + shift[:, :, np.newaxis]).reshape(-1, 256)
