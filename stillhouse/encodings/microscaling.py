"""4-bit floats under small shared scales: MXFP4 (OCP Microscaling 1.0) and NVFP4.

Codes are E2M1 floats doubled, which makes them integers; the scales are halved for it.
Layouts: ggml-common.h, structs block_mxfp4 and block_nvfp4.
"""

from __future__ import annotations

import numpy as np

from stillhouse.encodings.bits import split_bits
from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding, Integers

_DOUBLED_E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


class MXFP4(Encoding):
    """An exponent byte e (E8M0, 2 ** (e - 127)) and 16 bytes of codes; one scale a block."""

    name, ggml_type, block_size, block_bytes = "MXFP4", 39, 32, 17

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        scale = np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 128)
        return AffineBlocks(_codes(split_bits(blocks[:, 1:], 4, run=16)), scale, None, 32)


class NVFP4(Encoding):
    """Four scales (unsigned E4M3), then 8 bytes of codes for each group of 16.

    The tensor's own scale is not in the block: such models hold it as a tensor of its own.
    """

    name, ggml_type, block_size, block_bytes = "NVFP4", 40, 64, 36

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        packed = blocks[:, :4].astype(np.int32)
        exponent, mantissa = packed >> 3 & 0xF, packed & 7
        mantissa += np.where(exponent > 0, 8, 0)
        scale = np.ldexp(mantissa.astype(np.float32), np.maximum(exponent, 1) - 11)
        scale[packed == 0x7F] = 0  # not a number in E4M3; ggml reads it as 0
        return AffineBlocks(_codes(split_bits(blocks[:, 4:], 4, run=8)), scale, None, 16)


def _codes(indices: Bytes) -> Integers:
    return np.array(_DOUBLED_E2M1, np.int8)[indices]
