"""Formats of one or two bits a number and one fp16 scale: signs, trits and quarters.

Layouts: ggml-common.h, structs block_tq1_0, block_tq2_0, block_q1_0 and block_q2_0.
"""

from __future__ import annotations

import numpy as np

from stillhouse.encodings.bits import half, split_bits
from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding


class TQ1_0(Encoding):
    """-1, 0 and 1, five to a byte: 48 bytes of five trits, 4 bytes of four, d fp16.

    A byte is ceil(256 / 243 * x) of a number x of five base-3 digits, so that its first digit is
    what carries out of the byte when it is multiplied by 3.
    """

    name, ggml_type, block_size, block_bytes = "TQ1_0", 34, 256, 54

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        trits = [
            _trits(blocks[:, :32], 5),
            _trits(blocks[:, 32:48], 5),
            _trits(blocks[:, 48:52], 4),
        ]
        codes = np.hstack(trits).view(np.int8) - np.int8(1)
        return AffineBlocks(codes, half(blocks, 52), None, 256)


class TQ2_0(Encoding):
    """``d * (q - 1)``: 64 bytes of 2-bit q in runs of 32, d fp16."""

    name, ggml_type, block_size, block_bytes = "TQ2_0", 35, 256, 66

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = split_bits(blocks[:, :64], 2, run=32).view(np.int8)
        codes -= 1
        return AffineBlocks(codes, half(blocks, 64), None, 256)


class Q1_0(Encoding):
    """``d`` where the bit is set, else ``-d``: d fp16, 16 bytes of bits in plain order."""

    name, ggml_type, block_size, block_bytes = "Q1_0", 41, 128, 18

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = split_bits(blocks[:, 2:], 1, run=1).view(np.int8)
        codes += codes
        codes -= 1
        return AffineBlocks(codes, half(blocks, 0), None, 128)


class Q2_0(Encoding):
    """``d * (q - 1)``: d fp16, 16 bytes of 2-bit q in plain order."""

    name, ggml_type, block_size, block_bytes = "Q2_0", 42, 64, 18

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = split_bits(blocks[:, 2:], 2, run=1).view(np.int8)
        codes -= 1
        return AffineBlocks(codes, half(blocks, 0), None, 64)


def _trits(field: Bytes, count: int) -> Bytes:
    """The first ``count`` base-3 digits of each byte: (n, bytes) -> (n, count * bytes), 0 to 2."""
    powers = 3 ** np.arange(count, dtype=np.uint8)
    shifted = field[:, np.newaxis, :] * powers[:, np.newaxis]  # modulo 256: earlier digits fall out
    digits = shifted.astype(np.uint16) * np.uint16(3) >> 8
    return digits.astype(np.uint8).reshape(len(field), count * field.shape[1])
