"""The memory of the paged KV cache: blocks that the engine hands out and the decoder fills."""

from __future__ import annotations

from stillhouse.kernels.kv_layout import BLOCK_TOKENS, head_block_bytes
from stillhouse.kernels.memory import allocate
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType, kv_bytes_per_token


def bytes_per_block(config: ModelConfig, kv_type: KVType) -> int:
    """Bytes of one block of 32 tokens in all layers."""
    return BLOCK_TOKENS * kv_bytes_per_token(config.shape, kv_type)


class KVCache:
    """``num_blocks`` blocks in every layer; a block number means the same block in all of them."""

    def __init__(self, config: ModelConfig, num_blocks: int, kv_type: KVType) -> None:
        self.num_blocks = num_blocks
        self.kv_type: KVType = kv_type
        head_bytes = 2 * head_block_bytes(kv_type, config.head_dim)
        self._layer_bytes = num_blocks * config.num_kv_heads * head_bytes
        # Zeroed: what no token has written yet is read with weight 0 and must be finite.
        self._memory = allocate(config.num_layers * self._layer_bytes)
        self._blocks = self._memory.reshape(config.num_layers, num_blocks, -1)

    @property
    def nbytes(self) -> int:
        return int(self._memory.nbytes)

    def layer_address(self, layer: int) -> int:
        """Where the layer's blocks begin."""
        return int(self._memory.ctypes.data) + layer * self._layer_bytes

    def copy_block(self, source: int, target: int) -> None:
        """Makes a block's keys and values those of another one, in every layer."""
        self._blocks[:, target] = self._blocks[:, source]
