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


@njit(**NJIT_OPTIONS)
def weigh_block(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    scaled: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
) -> float:
    """Fill ``scaled`` with the values divided by the power of two that is returned, so that the
    largest is in [1/2, 1), and ``weights``. Returns 0 for a block of zeros, and fills nothing.
    """
    largest = np.float32(0)
    for n in range(values.size):
        largest = max(largest, abs(values[n]))
    if largest == 0:
        return 0.0
    _, exponent = math.frexp(float(largest))
    unit = math.ldexp(1.0, exponent)
    squares = np.float32(0)
    for n in range(values.size):
        scaled[n] = np.float32(values[n] / unit)
        squares += scaled[n] * scaled[n]
    twice_mean = np.float32(2) * squares / np.float32(values.size)
    for n in range(values.size):
        weights[n] = math.sqrt(twice_mean + scaled[n] * scaled[n])
    most = np.float32(0)
    for n in range(importance.size):
        most = max(most, importance[n])
    if most > 0:
        for n in range(importance.size):
            weights[n] *= max(importance[n] / most, LEAST)
    return unit
