"""How much an error in each number of a block weighs, as the writers of the "I" formats see it.

A model's larger weights matter more than squared error says: each number weighs
sqrt(2 m + x^2), with m the mean square of its block, times its column's importance where that is
known. (llama.cpp's weighting with importance: ggml-quants.c, quantize_iq3_s and its siblings.)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels.compiler import NJIT_OPTIONS

LEAST = np.float32(1e-6)
"""Of the most important column in a block: none is ignored, or nothing would say what it holds."""


# Rows of a block's workspace.
VALUES, WEIGHTS = 0, 1


@njit(**NJIT_OPTIONS)
def weigh_block(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    row: int,
    first: int,
    size: int,
    work: npt.NDArray[np.float32],
) -> float:
    """Fill VALUES of ``work`` with ``size`` values of a row from the first on, divided by the power
    of two that is returned, so that the largest is in [1/2, 1); and WEIGHTS. Returns 0 for a block
    of zeros, and fills nothing.
    """
    largest = np.float32(0)
    for n in range(size):
        largest = max(largest, abs(values[row, first + n]))
    if largest == 0:
        return 0.0
    _, exponent = math.frexp(float(largest))
    unit = math.ldexp(1.0, exponent)
    squares = np.float32(0)
    for n in range(size):
        value = np.float32(values[row, first + n] / unit)
        work[VALUES, n] = value
        squares += value * value
    twice_mean = np.float32(2) * squares / np.float32(size)
    for n in range(size):
        work[WEIGHTS, n] = math.sqrt(twice_mean + work[VALUES, n] * work[VALUES, n])
    if importance.size > 0:
        most = np.float32(0)
        for n in range(size):
            most = max(most, importance[first + n])
        if most > 0:
            for n in range(size):
                work[WEIGHTS, n] *= max(importance[first + n] / most, LEAST)
    return unit
