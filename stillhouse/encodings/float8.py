"""Floats of one byte, as safetensors files hold them; scales lie in tensors of their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.encodings.encoding import AffineBlocks, Bytes, Encoding, Floats


class F8_E4M3(Encoding):
    """A sign, four bits of exponent (bias 7), three of mantissa; up to 448 and no infinities.

    OCP 8-bit floating point 1.0, section 5.2: "E4M3", which torch calls float8_e4m3fn.
    """

    name, ggml_type, block_size, block_bytes, is_float = "F8_E4M3", None, 1, 1, True

    def unpack(self, blocks: Bytes) -> AffineBlocks:  # noqa: ARG002
        raise AssertionError(f"{self.name} has no integer codes")

    def decode(self, blocks: Bytes) -> Floats:
        return _values()[blocks]


def f8_e4m3_bits(values: Floats) -> npt.NDArray[np.uint8]:
    """The nearest E4M3 of each finite number, ties to even, as its byte; beyond 448 is 448."""
    sizes = np.minimum(np.abs(values), np.float32(448))
    # Of the leading bit; -6 for all that is smaller than its power, 0 too.
    exponents = np.where(sizes < 2.0**-6, -6, np.frexp(sizes)[1] - 1)
    # Eighths of that power of two. 16 of them are eight of the next, and carry into its exponent.
    eighths = np.rint(np.ldexp(sizes, 3 - exponents)).astype(np.int32)
    codes = ((exponents + 6) << 3) + eighths
    return np.asarray(codes | np.where(np.signbit(values), 128, 0), np.uint8)


def _values() -> Floats:
    """All 256 values by code."""
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    mantissa = mantissa + np.where(exponent > 0, 8, 0)
    values = np.ldexp(mantissa.astype(np.float32), np.maximum(exponent, 1) - 10)
    values[codes & 127 == 127] = np.nan
    signed: Floats = np.where(codes < 128, values, -values).astype(np.float32)
    return signed
