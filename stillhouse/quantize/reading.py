"""A model that reads windows of a text, in pieces, and how much memory it takes to do so."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import Checkpoint, EncodedTensor
from stillhouse.errors import UsageError
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.config import ModelConfig
from stillhouse.models.footprint import STEP_ROWS, packed_bytes
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.quantize.texts import Ids

LoadProgress = Callable[[str, int, int], None]

_SCORED_ROWS = 128  # logits of 128 rows and a vocabulary of 152,064 are 78 MB
_BUFFER_BYTES = 256_000_000  # of a step, the KV cache of a window, and a block of logits


class Piece(NamedTuple):
    """Tokens ``first`` to ``last`` of a window, and whether what follows each is predicted."""

    first: int
    last: int
    is_scored: bool


def pieces(window: int, first_scored: int) -> list[Piece]:
    """How a window is read: from token ``first_scored`` on with predictions, but for its last,
    whose next token nobody knows.
    """
    found = []
    for first, last, rows in (
        (0, first_scored, STEP_ROWS),
        (first_scored, window - 1, _SCORED_ROWS),
    ):
        starts = range(first, last, rows)
        found += [Piece(at, min(at + rows, last), first == first_scored) for at in starts]
    return found


class TextReader:
    """A loaded model and a KV cache for one window. Not for use from two threads at once."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        window: int,
        threads: int,
        progress: LoadProgress | None = None,
    ) -> None:
        """Raises UsageError for a window longer than the model's context, and BadCheckpoint as
        `load_model` does. The checkpoint must stay open.
        """
        config = ModelConfig.from_metadata(checkpoint.metadata)
        if window > config.context_length:
            raise UsageError(
                f"a window of {window} tokens is beyond the model's context of"
                f" {config.context_length}"
            )
        self.model = load_model(checkpoint, threads=threads, progress=progress)
        self.kv = KVCache(self.model.config, -(-window // BLOCK_TOKENS), "bf16")

    def read(self, window: Ids, piece: Piece) -> NDArray[np.float32]:
        """Logits of the piece's rows, (n, vocabulary), a view until the next call; (0, vocabulary)
        where it is not scored. Pieces come in order.
        """
        batch = batch_of(window, piece.first, piece.last, self.kv.num_blocks, piece.is_scored)
        return self.model.forward(batch, self.kv)

    def close(self) -> None:
        """End its threads."""
        self.model.close()


def batch_of(window: Ids, first: int, last: int, num_blocks: int, is_scored: bool) -> Batch:
    """Tokens ``first`` to ``last`` of a window, whose blocks are 0, 1, 2 ..."""
    rows = last - first
    return Batch(
        token_ids=window[first:last],
        positions=np.arange(first, last, dtype=np.int32),
        sequence_index=np.zeros(rows, np.int32),
        block_tables=np.arange(num_blocks, dtype=np.int32)[np.newaxis],
        logit_rows=np.arange(rows if is_scored else 0, dtype=np.int32),
    )


def reader_bytes(checkpoint: Checkpoint) -> int:
    """About what a TextReader of it takes in memory."""
    total = _BUFFER_BYTES
    for tensor in checkpoint.tensors.values():
        if isinstance(tensor, EncodedTensor) and len(tensor.shape) == 2:
            rows, columns = tensor.shape
            total += packed_bytes(tensor.encoding, rows, columns)
        else:
            total += tensor.num_bytes
    return total
