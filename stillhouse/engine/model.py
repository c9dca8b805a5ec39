"""What the engine needs of a model and of its KV cache."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stillhouse.models.batch import Batch
from stillhouse.models.config import ModelConfig


class Cache(Protocol):
    """How many blocks there are, and copies of their content."""

    @property
    def num_blocks(self) -> int: ...

    def copy_block(self, source: int, target: int) -> None: ...


CacheT = TypeVar("CacheT", bound=Cache)
CacheT_contra = TypeVar("CacheT_contra", bound=Cache, contravariant=True)


class Model(Protocol[CacheT_contra]):
    """A shape, and a forward pass of up to `max_rows` rows."""

    @property
    def config(self) -> ModelConfig: ...

    def forward(self, batch: Batch, kv: CacheT_contra) -> NDArray[np.float32]:
        """Float32 (O, vocab) logits, valid until the next call."""
        ...
