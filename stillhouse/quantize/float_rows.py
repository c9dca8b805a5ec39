"""Rows as floats of a file: the formats that have no blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.encodings.plain import bf16_bits
from stillhouse.errors import UsageError

_LARGEST_F16 = 65504.0


def encode_float_rows(encoding: str, rows: NDArray[np.float32], *, name: str) -> NDArray[Any]:
    """Rows as F32, F16 or BF16. Raises UsageError for what is not finite, or too large for F16."""
    if not np.isfinite(rows).all():
        raise UsageError(f"{name} holds numbers that are not finite (NaN or infinite)")
    if encoding == "F32":
        return rows
    if encoding == "BF16":
        return bf16_bits(rows)
    assert encoding == "F16", encoding
    largest = float(np.abs(rows).max(initial=0.0))
    if largest > _LARGEST_F16:
        raise UsageError(
            f"{name} holds {largest:g}, and F16 ends at {_LARGEST_F16:g}", hint="BF16 goes further"
        )
    return rows.astype("<f2")
