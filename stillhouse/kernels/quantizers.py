"""Which formats are written here, and by which kernel.

A kernel takes whole rows: ``(values float32 (rows, columns), importance float32 (columns,) or (0,)
where none is known, blocks uint8 (rows, row_bytes), first row, last row)``. Threads may work on
different rows at once. Values are finite and at most `largest_magnitude`, importance is positive
and about 1 on average; `quantize.rows` has seen to both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from stillhouse.kernels.compiler import compile_cached
from stillhouse.kernels.quantize_floats import (
    encode_bf16,
    encode_f16,
    encode_f32,
    measure_largest,
)
from stillhouse.kernels.quantize_grids import (
    encode_iq2_s,
    encode_iq2_xs,
    encode_iq2_xxs,
    encode_iq3_s,
    encode_iq3_xxs,
)
from stillhouse.kernels.quantize_iq4 import encode_iq4_nl, encode_iq4_xs
from stillhouse.kernels.quantize_k_quants import (
    encode_q2_k,
    encode_q3_k,
    encode_q4_k,
    encode_q5_k,
    encode_q6_k,
)
from stillhouse.kernels.quantize_legacy import (
    encode_q4_0,
    encode_q4_1,
    encode_q5_0,
    encode_q5_1,
    encode_q8_0,
)

Quantizer = Callable[
    [npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8], int, int], None
]

_SIGNATURE = (
    types.Array(types.float32, 2, "C", readonly=True),
    types.Array(types.float32, 1, "C", readonly=True),
    types.Array(types.uint8, 2, "C"),
    types.int64,
    types.int64,
)

_KERNELS: dict[str, Any] = {
    "F32": encode_f32,
    "F16": encode_f16,
    "BF16": encode_bf16,
    "Q4_0": encode_q4_0,
    "Q4_1": encode_q4_1,
    "Q5_0": encode_q5_0,
    "Q5_1": encode_q5_1,
    "Q8_0": encode_q8_0,
    "Q2_K": encode_q2_k,
    "Q3_K": encode_q3_k,
    "Q4_K": encode_q4_k,
    "Q5_K": encode_q5_k,
    "Q6_K": encode_q6_k,
    "IQ2_XXS": encode_iq2_xxs,
    "IQ2_XS": encode_iq2_xs,
    "IQ2_S": encode_iq2_s,
    "IQ3_XXS": encode_iq3_xxs,
    "IQ3_S": encode_iq3_s,
    "IQ4_NL": encode_iq4_nl,
    "IQ4_XS": encode_iq4_xs,
}
"""By ggml's name of the format."""

_HALF = 65504.0  # the largest float16
_LARGEST: dict[str, float] = {
    "F32": math.inf,
    "BF16": (2 - 2**-7) * 2.0**127,
    "Q4_0": 8 * _HALF,
    "Q5_0": 16 * _HALF,
    "Q8_0": 127 * _HALF,
    "Q2_K": 15 * _HALF,
    "Q3_K": 32 * 4 * _HALF,
    "Q4_K": 63 * _HALF,
    "Q5_K": 63 * _HALF,
    "Q6_K": 128 * 32 * _HALF,
}
"""Where a format reaches further than a float16, as its scales or minimums do."""


def has_quantizer(name: str) -> bool:
    """Whether the format of that name can be written."""
    return name in _KERNELS


def largest_magnitude(name: str) -> float:
    """The largest number, of either sign, that the format holds whatever stands beside it."""
    return _LARGEST.get(name, _HALF)


def quantizer(name: str) -> Quantizer:
    """The kernel that writes the format, compiled. Its arrays must be read-only where it reads."""
    kernel = _KERNELS[name]
    if not kernel.signatures:
        compile_cached(kernel, *_SIGNATURE)
    return kernel  # type: ignore[no-any-return]


def largest_of(rows: npt.NDArray[np.float32], first: int, last: int) -> float:
    """The largest magnitude in rows of a read-only array; not finite where any number is so."""
    if not measure_largest.signatures:
        compile_cached(
            measure_largest, _SIGNATURE[0], types.Array(types.float32, 1, "C"), *_SIGNATURE[3:]
        )
    largest = np.empty(1, np.float32)
    measure_largest(rows, largest, first, last)
    return float(largest[0])
