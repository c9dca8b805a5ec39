"""The "K" formats: blocks of 256 in groups of 16 or 32, whose scales are themselves quantised.

Layouts: ggml-common.h, structs block_q2_K to block_q8_K. Codes lie in runs of 32 bytes (64 for the
low bits of Q6_K): the lowest bits of a run belong to its first numbers, the next bits to the
numbers after those.
"""

from __future__ import annotations

import numpy as np

from stillhouse.encodings.bits import half, split_bits
from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding


class Q2_K(Encoding):
    """16 bytes of scale and minimum halves, 64 of 2-bit codes, d and dmin fp16; groups of 16."""

    name, ggml_type, block_size, block_bytes = "Q2_K", 10, 256, 84

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        scales = blocks[:, :16]
        return AffineBlocks(
            codes=split_bits(blocks[:, 16:80], 2, run=32),
            scale=half(blocks, 80) * (scales & 0x0F),
            minimum=half(blocks, 82) * (scales >> 4),
            group=16,
        )


class Q3_K(Encoding):
    """32 bytes of high bits, 64 of low 2 bits, 12 of 6-bit scales, d fp16; groups of 16.

    A code is ``low + 4 * high - 4``: a clear high bit takes 4 away. The low 4 bits of scales 0-7
    and 8-15 are the halves of bytes 0-7, their high 2 bits lie in bytes 8-11.
    """

    name, ggml_type, block_size, block_bytes = "Q3_K", 11, 256, 110

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        high = split_bits(blocks[:, :32], 1, run=32)
        codes = (split_bits(blocks[:, 32:96], 2, run=32) | high << np.uint8(2)).view(np.int8)
        codes -= 4
        scales = split_bits(blocks[:, 96:104], 4, run=8)
        scales |= split_bits(blocks[:, 104:108], 2, run=4) << np.uint8(4)
        scale = half(blocks, 108) * (scales.view(np.int8) - np.int8(32))
        return AffineBlocks(codes, scale, None, 16)


class Q4_K(Encoding):
    """d and dmin fp16, 12 bytes of 6-bit scales and minimums, 128 of 4-bit codes; groups of 32."""

    name, ggml_type, block_size, block_bytes = "Q4_K", 12, 256, 144

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        scales, minimums = _scales_and_minimums(blocks[:, 4:16])
        return AffineBlocks(
            codes=split_bits(blocks[:, 16:], 4, run=32),
            scale=half(blocks, 0) * scales,
            minimum=half(blocks, 2) * minimums,
            group=32,
        )


class Q5_K(Encoding):
    """As Q4_K, with 32 bytes of fifth bits (group g's in bit g) before the low bits."""

    name, ggml_type, block_size, block_bytes = "Q5_K", 13, 256, 176

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        scales, minimums = _scales_and_minimums(blocks[:, 4:16])
        fifth = split_bits(blocks[:, 16:48], 1, run=32)
        return AffineBlocks(
            codes=split_bits(blocks[:, 48:], 4, run=32) | fifth << np.uint8(4),
            scale=half(blocks, 0) * scales,
            minimum=half(blocks, 2) * minimums,
            group=32,
        )


class Q6_K(Encoding):
    """128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, d fp16; groups of 16."""

    name, ggml_type, block_size, block_bytes = "Q6_K", 14, 256, 210

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        high = split_bits(blocks[:, 128:192], 2, run=32)
        codes = (split_bits(blocks[:, :128], 4, run=64) | high << np.uint8(4)).view(np.int8)
        codes -= 32
        scale = half(blocks, 208) * blocks[:, 192:208].view(np.int8)
        return AffineBlocks(codes, scale, None, 16)


class Q8_K(Encoding):
    """d float32, 256 signed bytes, 16 sums that only dot products use; one group."""

    name, ggml_type, block_size, block_bytes = "Q8_K", 15, 256, 292

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        scale = blocks[:, :4].view("<f4").astype(np.float32)
        return AffineBlocks(blocks[:, 4:260].view(np.int8), scale, None, 256)


def _scales_and_minimums(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Twelve bytes -> eight 6-bit scales and eight 6-bit minimums, each (n, 8).

    Bytes 0-3 and 4-7 hold the first four scales and minimums in their low 6 bits. The last four
    have their low 4 bits in the halves of bytes 8-11, and their high 2 bits on top of bytes 0-3 and
    4-7.
    """
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.hstack([first & 0x3F, third & 0x0F | first >> 2 & 0x30])
    minimums = np.hstack([second & 0x3F, third >> 4 | second >> 2 & 0x30])
    return scales, minimums
