"""The first formats of ggml: blocks of 32 with an fp16 scale, and a minimum in the "_1" ones.

Layouts: ggml-common.h, structs block_q4_0 to block_q8_1. Codes of 4 bits hold numbers 0-15 of the
block in the low halves of the 16 bytes and numbers 16-31 in the high halves.
"""

from __future__ import annotations

import numpy as np

from stillhouse.encodings.bits import half, split_bits
from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding


class Q4_0(Encoding):
    """``d * (q - 8)``: d fp16, 16 bytes of q."""

    name, ggml_type, block_size, block_bytes = "Q4_0", 2, 32, 18

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = split_bits(blocks[:, 2:], 4, run=16).view(np.int8)
        codes -= 8
        return AffineBlocks(codes, half(blocks, 0), None, 32)


class Q4_1(Encoding):
    """``d * q + m``: d fp16, m fp16, 16 bytes of q."""

    name, ggml_type, block_size, block_bytes = "Q4_1", 3, 32, 20

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = split_bits(blocks[:, 4:], 4, run=16)
        return AffineBlocks(codes, half(blocks, 0), -half(blocks, 2), 32)


class Q5_0(Encoding):
    """``d * (q - 16)``: d fp16, 4 bytes of fifth bits in plain order, 16 bytes of low bits."""

    name, ggml_type, block_size, block_bytes = "Q5_0", 6, 32, 22

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = _five_bits(low=blocks[:, 6:], fifth=blocks[:, 2:6]).view(np.int8)
        codes -= 16
        return AffineBlocks(codes, half(blocks, 0), None, 32)


class Q5_1(Encoding):
    """``d * q + m``: d fp16, m fp16, then fifth and low bits as in Q5_0."""

    name, ggml_type, block_size, block_bytes = "Q5_1", 7, 32, 24

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = _five_bits(low=blocks[:, 8:], fifth=blocks[:, 4:8])
        return AffineBlocks(codes, half(blocks, 0), -half(blocks, 2), 32)


class Q8_0(Encoding):
    """``d * q``: d fp16, 32 signed bytes."""

    name, ggml_type, block_size, block_bytes = "Q8_0", 8, 32, 34

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        return AffineBlocks(blocks[:, 2:].view(np.int8), half(blocks, 0), None, 32)


class Q8_1(Encoding):
    """``d * q``: d fp16, an fp16 sum that only dot products use, 32 signed bytes."""

    name, ggml_type, block_size, block_bytes = "Q8_1", 9, 32, 36

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        return AffineBlocks(blocks[:, 4:].view(np.int8), half(blocks, 0), None, 32)


def _five_bits(low: Bytes, fifth: Bytes) -> Bytes:
    return split_bits(low, 4, run=16) | split_bits(fifth, 1, run=1) << np.uint8(4)
