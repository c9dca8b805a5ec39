"""Numbers stored as they are, one a block: floats (``decode`` only) and integers (a scale of 1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding, Floats


class _Float(Encoding):
    block_size = 1
    is_float = True
    dtype: ClassVar[str]

    def unpack(self, blocks: Bytes) -> AffineBlocks:  # noqa: ARG002
        raise AssertionError(f"{self.name} has no integer codes")

    def decode(self, blocks: Bytes) -> Floats:
        with np.errstate(all="ignore"):  # a double may be larger than any float32
            return blocks.view(self.dtype).astype(np.float32)


class F32(_Float):
    """IEEE single precision."""

    name, ggml_type, block_bytes, dtype = "F32", 0, 4, "<f4"


class F16(_Float):
    """IEEE half precision."""

    name, ggml_type, block_bytes, dtype = "F16", 1, 2, "<f2"


class F64(_Float):
    """IEEE double precision; decoded to the nearest float32."""

    name, ggml_type, block_bytes, dtype = "F64", 28, 8, "<f8"


class BF16(_Float):
    """The upper half of a float32."""

    name, ggml_type, block_bytes, dtype = "BF16", 30, 2, "<u2"

    def decode(self, blocks: Bytes) -> Floats:
        bits = np.zeros(len(blocks), "<u4")
        bits.view("<u2")[1::2] = blocks.reshape(-1).view(self.dtype)  # a tenth of a shift's time
        return bits.view(np.float32)[:, np.newaxis]


class _Integer(Encoding):
    block_size = 1
    dtype: ClassVar[str]

    def unpack(self, blocks: Bytes) -> AffineBlocks:
        codes = blocks.view(self.dtype)
        return AffineBlocks(codes, np.ones(codes.shape, np.float32), None, 1)


class I8(_Integer):
    """Signed bytes."""

    name, ggml_type, block_bytes, dtype = "I8", 24, 1, "<i1"


class I16(_Integer):
    """Signed 16-bit integers."""

    name, ggml_type, block_bytes, dtype = "I16", 25, 2, "<i2"


class I32(_Integer):
    """Signed 32-bit integers; decoded to the nearest float32."""

    name, ggml_type, block_bytes, dtype = "I32", 26, 4, "<i4"


class I64(_Integer):
    """Signed 64-bit integers; decoded to the nearest float32."""

    name, ggml_type, block_bytes, dtype = "I64", 27, 8, "<i8"


def bf16_bits(values: Floats) -> npt.NDArray[np.uint16]:
    """The nearest bfloat16 of each number, ties to even, as its bits; not a number stays so."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1)).astype(np.uint32)
    return (np.where(np.isnan(values), 0x7FC00000, rounded) >> 16).astype(np.uint16)


def round_to(name: str, values: Floats) -> Floats:
    """Each number as the nearest of a float type (F32, F16 or BF16), in float32."""
    if name == "BF16":
        return (bf16_bits(values).astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float16).astype(np.float32) if name == "F16" else values
