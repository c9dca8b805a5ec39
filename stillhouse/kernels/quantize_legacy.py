"""Writing the formats of 32 numbers that share one scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels.block_fields import put_byte, put_float_as_half
from stillhouse.kernels.compiler import NJIT_OPTIONS


@njit(**NJIT_OPTIONS)
def encode_q8_0(
    values: npt.NDArray[np.float32],
    _importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    """Codes -127 to 127, with the scale that makes the largest of 32 numbers 127."""
    for row in range(first, last):
        for block in range(values.shape[1] // 32):
            largest = np.float32(0)
            for n in range(32):
                largest = max(largest, abs(values[row, 32 * block + n]))
            scale = largest / np.float32(127)
            inverse = np.float32(0)
            if scale > 0:
                inverse = np.float32(1) / scale
            at = blocks.ctypes.data + row * blocks.shape[1] + 34 * block
            put_float_as_half(at, scale)
            for n in range(32):
                code = round(values[row, 32 * block + n] * inverse)
                put_byte(at + 2 + n, code)
