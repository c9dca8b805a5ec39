"""What quantising did to each tensor: its numbers against the source's."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import Checkpoint, CompressedTensor, Tensor
from stillhouse.errors import UsageError
from stillhouse.models.config import ModelConfig
from stillhouse.models.weights import row_order

_CHUNK_NUMBERS = 1 << 19  # of each side at a time: temporaries of unpacking are a few times that


@dataclass(frozen=True, slots=True)
class TensorError:
    """One tensor. `nmse` is the sum of squared errors over the sum of the source's squares."""

    name: str
    format_name: str
    source_format_name: str
    nmse: float

    @property
    def snr_db(self) -> float | None:
        """Signal to noise in decibels; None where there is no noise."""
        return -10 * math.log10(self.nmse) if self.nmse > 0 else None


def tensor_errors(
    source: Checkpoint,
    other: Checkpoint,
    *,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[TensorError]:
    """Every matrix that both have, the worst first; a few rows of each at a time are decoded.

    ``progress(done, total)`` counts numbers. Raises UsageError where shapes differ.
    """
    orders = [_Orders(checkpoint) for checkpoint in (source, other)]
    matrices = [t for t in source.tensors.values() if len(t.shape) == 2 and t.name in other.tensors]
    total, done, found = sum(math.prod(t.shape) for t in matrices), 0, []
    with ThreadPoolExecutor(threads) as pool:
        for tensor in matrices:
            theirs = other.tensors[tensor.name]
            if theirs.shape != tensor.shape:
                raise UsageError(
                    f"{tensor.name} is {tensor.shape} in one model and {theirs.shape} in the other"
                )
            step = max(1, _CHUNK_NUMBERS // tensor.shape[1])
            edges = range(0, tensor.shape[0], step)
            pair = [(t, order.of(t)) for t, order in zip((tensor, theirs), orders, strict=True)]
            parts = [
                pool.submit(_squares, pair, first, min(first + step, tensor.shape[0]))
                for first in edges
            ]
            noise, signal = (sum(both) for both in zip(*(p.result() for p in parts), strict=True))
            nmse = noise / signal if signal else math.inf if noise else 0.0
            found.append(TensorError(tensor.name, theirs.format_name, tensor.format_name, nmse))
            done += math.prod(tensor.shape)
            if progress is not None:
                progress(done, total)
    return sorted(found, key=lambda error: -error.nmse)


class _Orders:
    """In which order a checkpoint's rows are the kernels' rows: files differ in that."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._config = ModelConfig.from_metadata(
            checkpoint.metadata, tied_embeddings="output.weight" not in checkpoint.tensors
        )

    def of(self, tensor: Tensor) -> NDArray[np.int64] | None:
        return row_order(self._config, tensor.name)


def _squares(
    pair: list[tuple[Tensor, NDArray[np.int64] | None]], first: int, last: int
) -> tuple[float, float]:
    """Sums of the squares of error and of the source, of some rows."""
    ours, theirs = (_rows(tensor, order, first, last) for tensor, order in pair)
    error = theirs - ours
    return (
        float(np.square(error).sum(dtype=np.float64)),
        float(np.square(ours).sum(dtype=np.float64)),
    )


def _rows(
    tensor: Tensor, order: NDArray[np.int64] | None, first: int, last: int
) -> NDArray[np.float32]:
    if isinstance(tensor, CompressedTensor):
        assert order is None, "folders keep the rows of their models"
        return tensor.decode_between(first, last)
    indices = np.arange(first, last)
    return tensor.decode_rows(indices if order is None else order[indices])
