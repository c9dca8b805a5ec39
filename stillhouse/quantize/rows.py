"""Rows of a matrix into a format's blocks, by all threads: what every GGUF recipe comes down to."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stillhouse.encodings import by_name
from stillhouse.errors import UsageError
from stillhouse.kernels.quantizers import has_quantizer, largest_magnitude, largest_of, quantizer

# Numbers checked and encoded at a time: they stay in the cache between the two.
_STRIP_NUMBERS = 1 << 17
# The least weight of a column, of the mean: what a text never reached is not thrown away.
_LEAST_WEIGHT = 1e-6


def encode_rows(
    encoding: str,
    rows: NDArray[np.float32],
    importance: NDArray[np.float32] | None = None,
    *,
    threads: int,
    name: str = "the matrix",
) -> NDArray[np.uint8]:
    """Encode float32 (n, columns) as uint8 (n, row_bytes), the blocks of ggml's `encoding`.

    Args:
        importance: float32 (columns,), not negative: how much an error in each column weighs, as
            the mean square of what the column is multiplied by. None, or zeros: every one alike.
        name: what errors call it.

    The bytes do not depend on the number of threads.

    Raises UsageError for a format that is not written, for rows that are no whole number of blocks,
    and for numbers that are not finite or further out than the format reaches.
    """
    fmt = by_name(encoding)
    if not has_quantizer(encoding):
        raise UsageError(f"{encoding} is read here, but not written")
    num_rows, columns = rows.shape
    if columns % fmt.block_size:
        raise UsageError(
            f"{name} has rows of {columns}, and {encoding} takes {fmt.block_size} numbers at a time"
        )
    rows = np.ascontiguousarray(rows, np.float32)
    weights = _weights(importance, columns, name)
    blocks = np.empty((num_rows, columns // fmt.block_size * fmt.block_bytes), np.uint8)
    encode = quantizer(encoding)
    source, weights = _read_only(rows), _read_only(weights)

    largest = largest_magnitude(encoding)
    strip = max(1, _STRIP_NUMBERS // columns)

    def work(first: int, last: int) -> None:
        for start in range(first, last, strip):
            end = min(start + strip, last)
            peak = largest_of(source, start, end)
            if not math.isfinite(peak):
                raise UsageError(f"{name} holds numbers that are not finite (NaN or infinite)")
            if peak > largest:
                raise UsageError(
                    f"{name} holds {peak:.6g}, and {encoding} numbers up to {largest:.6g}",
                    hint="leave it in BF16 or F32",
                )
            encode(source, weights, blocks, start, end)

    # Several parts a thread, so that no thread waits long for the slowest.
    edges = np.linspace(0, num_rows, min(num_rows, 8 * threads) + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        parts = [pool.submit(work, int(a), int(b)) for a, b in pairwise(edges)]
        for done in parts:
            done.result()
    return blocks


def _weights(
    importance: NDArray[np.float32] | None, columns: int, name: str
) -> NDArray[np.float32]:
    """Importance over its mean, each column's at least a little; empty where nothing is known."""
    if importance is None:
        return np.empty(0, np.float32)
    weights = np.asarray(importance, np.float64)
    if weights.shape != (columns,):
        raise UsageError(
            f"the importance of {name} is for {weights.size} columns, and it has {columns}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise UsageError(f"the importance of {name} is not finite, or negative")
    mean = weights.mean()
    if mean == 0:
        return np.empty(0, np.float32)
    scaled: NDArray[np.float64] = np.maximum(weights / mean, _LEAST_WEIGHT)
    return scaled.astype(np.float32)


def _read_only(array: NDArray[np.float32]) -> NDArray[np.float32]:
    view = array.view()
    view.flags.writeable = False
    return view
