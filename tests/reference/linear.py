"""Linear layers over quantised activations, written to be read.

A span of a row of activations (256 columns, or 32) shares one scale, max|x| / 127, and each number
becomes the nearest int8 code. The weights are what the file's blocks decode to. All sums are
float64, so what a kernel differs by is its own rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def quantize(x: Floats, span: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Float32 (rows, columns) to codes (rows, columns) and scales (rows, columns / span)."""
    spans = x.astype(np.float32).reshape(len(x), -1, span)
    largest = np.abs(spans).max(axis=2)
    scales = largest / np.float32(127)
    inverse = np.divide(np.float32(127), largest, where=largest > 0, out=np.zeros_like(largest))
    codes = np.rint(spans * inverse[..., np.newaxis])  # ties go to the even neighbour
    return codes.astype(np.int8).reshape(x.shape), scales


def as_quantized(x: Floats, span: int) -> npt.NDArray[np.float64]:
    """What int8 activations stand for: codes times scales."""
    codes, scales = quantize(x, span)
    return codes * np.repeat(scales, span, axis=1).astype(np.float64)


def quantize_rows(x: Floats) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Float32 (rows, columns) to codes and one scale a row, as compressed-tensors rounds tokens.

    scale = max|x| / 127.5, and codes are cut off at 127; a row of zeros has float32's epsilon.
    """
    scales = np.abs(x).max(axis=1).astype(np.float32) / np.float32(127.5)
    scales[scales == 0] = np.finfo(np.float32).eps
    codes = np.rint(x / scales[:, np.newaxis])
    return np.minimum(codes, 127).astype(np.int8), scales


def round_to_bf16(x: Floats) -> npt.NDArray[np.float32]:
    """The nearest bfloat16, ties to even, as a float32. Finite values only."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))
    return (bits.astype(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def linear(x: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """(rows, columns) and (outputs, columns) to (rows, outputs)."""
    return x.astype(np.float64) @ weights.astype(np.float64).T
