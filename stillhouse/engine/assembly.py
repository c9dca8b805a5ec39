"""Writes scheduled rows into one `Batch`, in arrays that are allocated once."""

from __future__ import annotations

import numpy as np

from stillhouse.engine.scheduler import Scheduled
from stillhouse.models.batch import Batch


class BatchAssembly:
    """Arrays for `max_rows` rows of `max_sequences` sequences at most, used again every step."""

    def __init__(self, *, max_rows: int, max_sequences: int, max_blocks: int) -> None:
        self._token_ids = np.empty(max_rows, np.int32)
        self._positions = np.empty(max_rows, np.int32)
        self._sequence_index = np.empty(max_rows, np.int32)
        self._block_tables = np.empty(max_sequences * max_blocks, np.int32)
        self._logit_rows = np.empty(max_rows, np.int32)

    def assemble(self, scheduled: list[Scheduled]) -> Batch:
        """The batch of these rows, valid until the next call.

        Logits are wanted for the last row of each sequence that this step catches up, and where
        given tokens are scored. The block tables are as wide as the longest of these sequences
        needs; for 131,072 tokens that is 4096.
        """
        width = max(len(sequence.blocks) for sequence, _ in scheduled)
        tables = self._block_tables[: len(scheduled) * width].reshape(-1, width)
        end = num_logits = 0
        for index, (sequence, num_rows) in enumerate(scheduled):
            first, start = sequence.num_computed, end
            end += num_rows
            if num_rows == 1:  # a decode: single assignments cost less than slices
                self._token_ids[start] = sequence.token_ids[first]
                self._positions[start] = first
                self._sequence_index[start] = index
            else:
                self._token_ids[start:end] = sequence.token_ids[first : first + num_rows]
                self._positions[start:end] = np.arange(first, first + num_rows)
                self._sequence_index[start:end] = index
            num_blocks = len(sequence.blocks)
            tables[index, :num_blocks] = sequence.block_table[:num_blocks]
            tables[index, num_blocks:] = -1
            wanted = sequence.num_logits(num_rows)
            if wanted == 1:
                self._logit_rows[num_logits] = end - 1
            elif wanted:
                self._logit_rows[num_logits : num_logits + wanted] = np.arange(end - wanted, end)
            num_logits += wanted
        return Batch(
            token_ids=self._token_ids[:end],
            positions=self._positions[:end],
            sequence_index=self._sequence_index[:end],
            block_tables=tables,
            logit_rows=self._logit_rows[:num_logits],
        )
