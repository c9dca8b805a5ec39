"""How probable a given text is: log-probabilities of its own tokens, for perplexity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.blocks import BlockPool
from stillhouse.engine.sampler import logprob_of
from stillhouse.models.batch import BLOCK_TOKENS, Batch

CacheT = TypeVar("CacheT")
_CHUNK_ROWS = 128  # logits of 128 rows and a vocabulary of 152,064 are 78 MB


def score(
    forward: Callable[[Batch, CacheT], NDArray[np.float32]],
    kv: CacheT,
    pool: BlockPool,
    token_ids: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Log-probabilities of int32 (n,) ids after the first, float32 (n - 1,), chunk by chunk.

    The blocks are free again at the end, and are not offered for reuse.
    """
    num_rows = len(token_ids) - 1
    num_blocks = -(-num_rows // BLOCK_TOKENS)
    pool.reserve(num_blocks)
    blocks = [pool.allocate() for _ in range(num_blocks)]
    try:
        result = np.empty(num_rows, np.float32)
        for start in range(0, num_rows, _CHUNK_ROWS):
            positions = np.arange(start, min(start + _CHUNK_ROWS, num_rows), dtype=np.int32)
            rows = np.arange(len(positions), dtype=np.int32)
            batch = Batch(
                token_ids=token_ids[positions],
                positions=positions,
                sequence_index=np.zeros_like(rows),
                block_tables=np.array([blocks], np.int32),
                logit_rows=rows,
            )
            logits = forward(batch, kv)
            for row, position in zip(rows, positions, strict=True):
                result[position] = logprob_of(logits[row], token_ids[position + 1])
        return result
    finally:
        pool.release(blocks)
