"""Which formats are written here, and by which kernel.

A kernel takes whole rows: ``(values float32 (rows, columns), importance float32 (columns,) or (0,)
where none is known, blocks uint8 (rows, row_bytes), first row, last row)``. Threads may work on
different rows at once. Values are finite, importance is finite and not negative; `quantize.rows`
has checked both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from stillhouse.kernels.compiler import compile_cached
from stillhouse.kernels.quantize_grids import encode_grid
from stillhouse.kernels.quantize_iq4 import encode_iq4_nl, encode_iq4_xs
from stillhouse.kernels.quantize_legacy import encode_q8_0

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
    "Q8_0": encode_q8_0,
    "IQ2_XXS": encode_grid,
    "IQ2_XS": encode_grid,
    "IQ2_S": encode_grid,
    "IQ3_XXS": encode_grid,
    "IQ3_S": encode_grid,
    "IQ4_NL": encode_iq4_nl,
    "IQ4_XS": encode_iq4_xs,
}
"""By ggml's name of the format."""


def has_quantizer(name: str) -> bool:
    """Whether the format of that name can be written."""
    return name in _KERNELS


def quantizer(name: str) -> Quantizer:
    """The kernel that writes the format, compiled. Its arrays must be read-only where it reads."""
    kernel = _KERNELS[name]
    if not kernel.signatures:
        compile_cached(kernel, *_SIGNATURE)
    return kernel  # type: ignore[no-any-return]
