"""Stand-ins that are small, deterministic, and strict about how they are used."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.config import ARCHITECTURES, ModelConfig, RopeConfig

LogitsOf = Callable[[NDArray[np.int32]], NDArray[np.float32]]


class FakeKV:
    """A cache of each position's token, and of a digest of all tokens up to it.

    As with real keys and values, the same token after another history is another entry.
    """

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.token_ids = np.full((num_blocks, BLOCK_TOKENS), -1, np.int32)
        self.digests = np.zeros((num_blocks, BLOCK_TOKENS), np.uint32)

    def copy_block(self, source: int, target: int) -> None:
        self.token_ids[target] = self.token_ids[source]
        self.digests[target] = self.digests[source]


class FakeModel:
    """Logits are a function of the whole history, which it reads back through the block tables.

    So a wrong table, a block shared by mistake or one written by a stranger does not pass.
    """

    def __init__(self, logits_of: LogitsOf, *, vocab_size: int, context_length: int = 4096) -> None:
        self.config = ModelConfig(
            architecture=ARCHITECTURES["llama"],
            num_layers=1,
            hidden_size=8,
            num_heads=1,
            num_kv_heads=1,
            head_dim=8,
            ffn_size=8,
            vocab_size=vocab_size,
            context_length=context_length,
            rms_eps=1e-5,
            rope=RopeConfig("interleaved", 8, 1e4),
            tied_embeddings=True,
        )
        self.num_rows_seen: list[int] = []
        self._logits_of = logits_of

    def forward(self, batch: Batch, kv: FakeKV) -> NDArray[np.float32]:
        check_batch(batch, kv.num_blocks)
        self.num_rows_seen.append(len(batch.token_ids))
        for row, token_id in enumerate(batch.token_ids):
            table, position = batch.block_tables[batch.sequence_index[row]], batch.positions[row]
            before = kv.digests[_slot(table, position - 1)] if position else 0
            kv.token_ids[_slot(table, position)] = token_id
            kv.digests[_slot(table, position)] = _digest(before, token_id)
        histories = [self._history(batch, row, kv) for row in batch.logit_rows]
        logits = [self._logits_of(history) for history in histories]
        return np.array(logits, np.float32).reshape(-1, self.config.vocab_size)

    @staticmethod
    def _history(batch: Batch, row: int, kv: FakeKV) -> NDArray[np.int32]:
        num_tokens = batch.positions[row] + 1
        table = batch.block_tables[batch.sequence_index[row]]
        held = table[: -(-num_tokens // BLOCK_TOKENS)]
        history = kv.token_ids[held].reshape(-1)[:num_tokens]
        digests = [*itertools.accumulate(history, _digest, initial=0)][1:]
        assert (kv.digests[held].reshape(-1)[:num_tokens] == digests).all(), "another's block"
        return history


def _slot(table: NDArray[np.int32], position: int) -> tuple[int, int]:
    return table[position // BLOCK_TOKENS], position % BLOCK_TOKENS


def _digest(before: int, token_id: np.int32) -> int:
    return zlib.crc32(token_id.tobytes(), before)


def check_batch(batch: Batch, num_blocks: int) -> None:
    """Asserts all that `Batch` promises to a model."""
    arrays = (batch.token_ids, batch.positions, batch.sequence_index, batch.logit_rows)
    assert all(a.dtype == np.int32 and a.flags.c_contiguous for a in (*arrays, batch.block_tables))
    assert len(batch.token_ids) == len(batch.positions) == len(batch.sequence_index) > 0
    assert (np.unique(batch.sequence_index) == np.arange(len(batch.block_tables))).all()
    steps = np.diff(batch.sequence_index)
    assert ((steps == 0) | (steps == 1)).all()
    assert (np.diff(batch.positions)[steps == 0] == 1).all()
    assert (np.diff(batch.logit_rows) > 0).all()
    assert ((batch.logit_rows >= 0) & (batch.logit_rows < len(batch.token_ids))).all()
    for index, table in enumerate(batch.block_tables):
        last = batch.positions[batch.sequence_index == index][-1]
        held = table[: last // BLOCK_TOKENS + 1]
        assert ((held >= 0) & (held < num_blocks)).all()
        assert len(np.unique(held)) == len(held)


def hashed(vocab_size: int) -> LogitsOf:
    """Normal logits seeded by the history: any change of any earlier token changes them all."""

    def logits_of(history: NDArray[np.int32]) -> NDArray[np.float32]:
        rng = np.random.default_rng(zlib.crc32(history.tobytes()))
        return 3 * rng.standard_normal(vocab_size, np.float32)

    return logits_of


def scripted(vocab_size: int, next_id: Callable[[list[int]], int]) -> LogitsOf:
    """All but certain of one token, the one that `next_id` gives for the history."""

    def logits_of(history: NDArray[np.int32]) -> NDArray[np.float32]:
        logits = np.zeros(vocab_size, np.float32)
        logits[next_id(history.tolist())] = 50
        return logits

    return logits_of
