"""A paged cache as an array, read and written one head of one block at a time (see kv_layout)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.kernels.kv_layout import BLOCK_TOKENS, head_block_bytes
from tests.reference.linear import round_to_bf16

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class PagedCache:
    """One layer's blocks: ``memory`` is uint8 (blocks, kv_heads, 2, bytes), keys before values."""

    def __init__(self, kv_type: str, blocks: int, kv_heads: int, head_dim: int) -> None:
        self.kv_type, self.head_dim = kv_type, head_dim
        size = head_block_bytes(kv_type, head_dim)
        self.memory = np.zeros((blocks, kv_heads, 2, size), np.uint8)

    def write(self, block: int, kv_head: int, keys: Floats, values: Floats) -> None:
        """Fill a block: keys and values are (32, head_dim)."""
        for part, tokens in enumerate((keys, values)):
            place = self.memory[block, kv_head, part]
            if self.kv_type == "bf16":
                place[:] = _as_bf16(tokens.T if part == 0 else tokens).view(np.uint8).ravel()
                continue
            spans = tokens.reshape(BLOCK_TOKENS, -1, 32)
            scales = round_to_bf16(abs(spans).max(axis=2) * (1 + 2**-7) / 127)
            codes = np.rint(spans / np.maximum(scales, 1e-30)[..., np.newaxis]).astype(np.int8)
            if part == 0:
                # (2 halves, 16 tokens, spans, 8 steps, 4): a lane is a token's four neighbours.
                lanes = codes.astype(np.int16).reshape(2, 16, -1, 8, 4).transpose(2, 0, 3, 1, 4)
                place[: codes.size] = (lanes + 128).astype(np.uint8).ravel()
            else:
                place[: codes.size] = codes.view(np.uint8).ravel()
            place[codes.size :] = _as_bf16(scales.T).view(np.uint8).ravel()

    def read(self, block: int, kv_head: int) -> tuple[Floats, Floats]:
        """What a block holds: keys and values (32, head_dim)."""
        keys, values = self.memory[block, kv_head]
        if self.kv_type == "bf16":
            return _from_bf16(keys, -1, BLOCK_TOKENS).T, _from_bf16(values, BLOCK_TOKENS, -1)
        size = BLOCK_TOKENS * self.head_dim
        key_scales, value_scales = (
            _from_bf16(part[size:], -1, BLOCK_TOKENS).repeat(32, axis=0).T
            for part in (keys, values)
        )
        lanes = keys[:size].astype(np.int16).reshape(-1, 2, 8, 16, 4) - 128
        key_codes = lanes.transpose(1, 3, 0, 2, 4).reshape(BLOCK_TOKENS, -1)
        value_codes = values[:size].view(np.int8).reshape(BLOCK_TOKENS, -1)
        return key_codes * key_scales, value_codes * value_scales

    def context(
        self, table: npt.NDArray[np.int32], tokens: int, kv_head: int
    ) -> tuple[Floats, Floats]:
        """The first keys and values of a sequence: (tokens, head_dim) each."""
        blocks = [self.read(block, kv_head) for block in table[: -(-tokens // BLOCK_TOKENS)]]
        keys, values = (np.concatenate(parts)[:tokens] for parts in zip(*blocks, strict=True))
        return keys, values


def _as_bf16(x: Floats) -> npt.NDArray[np.uint16]:
    return np.ascontiguousarray(round_to_bf16(x).view(np.uint32) >> 16).astype(np.uint16)


def _from_bf16(raw: Bytes, rows: int, columns: int) -> Floats:
    words = raw.view(np.uint16).astype(np.uint32) << 16
    return words.view(np.float32).reshape(rows, columns)
