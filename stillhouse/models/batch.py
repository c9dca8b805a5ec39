"""What one forward pass computes: some rows, of some sequences, over a paged cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.kernels.kv_layout import BLOCK_TOKENS

__all__ = ["BLOCK_TOKENS", "Batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """T rows (one token at one position each) of S sequences; logits are wanted for O of the rows.

    Rows of one sequence are adjacent and at consecutive, ascending positions; `sequence_index`
    never decreases. The key and value of position p of sequence s live in block
    `block_tables[s, p // BLOCK_TOKENS]`, slot p % BLOCK_TOKENS. A pass writes those of its rows,
    and a row attends to positions 0 to its own. The arrays belong to the engine, which may reuse
    them once the pass has returned.
    """

    token_ids: NDArray[np.int32]  # (T,)
    positions: NDArray[np.int32]  # (T,)
    sequence_index: NDArray[np.int32]  # (T,) 0 to S-1
    block_tables: NDArray[np.int32]  # (S, blocks of the longest), -1 where a sequence has none
    logit_rows: NDArray[np.int32]  # (O,) ascending row numbers, 0 to T-1
