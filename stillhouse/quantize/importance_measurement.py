"""Collecting an importance matrix: a model reads a text, and its matrices' inputs are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import Checkpoint
from stillhouse.errors import BadCheckpoint
from stillhouse.models.footprint import STEP_ROWS
from stillhouse.quantize.importance import ImportanceMatrix, Inputs
from stillhouse.quantize.reading import LoadProgress, TextReader, batch_of
from stillhouse.quantize.texts import WINDOW_TOKENS, Ids, windows
from stillhouse.text import Tokenizer


def measure_importance(
    checkpoint: Checkpoint,
    text: str,
    *,
    name: str,
    threads: int,
    window: int = WINDOW_TOKENS,
    max_tokens: int | None = None,
    loading: LoadProgress | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportanceMatrix:
    """Let the model read the text in windows, each from an empty cache.

    Unlike llama-imatrix it collects the input of the matrix that makes logits, too.

    Args:
        name: of the text, kept in the result.
        max_tokens: of the text, the first.
        loading: hears of the model being loaded.
        progress: of tokens, read and in all.

    Raises UsageError for a text shorter than a window; BadCheckpoint for a model that cannot be
    loaded, or whose activations are not finite.
    """
    tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
    ids = tokenizer.encode(text)[:max_tokens]
    bos_id = tokenizer.bos_id if tokenizer.add_bos else None
    read = windows(ids, size=window, bos_id=bos_id)
    reader = TextReader(checkpoint, window=window, threads=threads, progress=loading)
    try:
        return importance_of(reader, read, name=name, progress=progress)
    finally:
        reader.close()


def importance_of(
    reader: TextReader,
    text: Sequence[Ids],
    *,
    name: str,
    progress: Callable[[int, int], None] | None = None,
) -> ImportanceMatrix:
    """The same of windows of ids, by a model that is loaded."""
    window, sums = len(text[0]), _Sums()
    for number, ids in enumerate(text):
        for first in range(0, window, STEP_ROWS):
            last = min(first + STEP_ROWS, window)
            batch = batch_of(ids, first, last, reader.kv.num_blocks, is_scored=True)
            reader.model.trace(batch, reader.kv, sums.add)
        if progress is not None:
            progress((number + 1) * window, len(text) * window)
    return ImportanceMatrix(
        inputs=sums.inputs(), num_windows=len(text), window_tokens=window, texts=(name,)
    )


class _Sums:
    """Of squares, by column; matrices that read the same rows share one."""

    def __init__(self) -> None:
        self._squares: dict[tuple[str, ...], NDArray[np.float64]] = {}
        self._rows: dict[tuple[str, ...], int] = {}

    def add(self, names: tuple[str, ...], values: NDArray[np.float32]) -> None:
        # Of 512 rows at the most in float32, of all in float64.
        squares = np.einsum("ij,ij->j", values, values)
        self._squares[names] = self._squares.get(names, 0.0) + squares.astype(np.float64)
        self._rows[names] = self._rows.get(names, 0) + len(values)

    def inputs(self) -> dict[str, Inputs]:
        found: dict[str, Inputs] = {}
        for names, squares in self._squares.items():
            if not np.isfinite(squares).all():
                raise BadCheckpoint(f"what {names[0]} is multiplied with is not finite")
            rows = self._rows[names]
            one = Inputs((squares / rows).astype(np.float32), rows)
            found |= dict.fromkeys(names, one)
        return found
