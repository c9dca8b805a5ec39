"""What every number format offers: its sizes, and its blocks as integer codes or as float32 values.

A quantised format is affine within a group: ``value = scale * code - minimum``. A format writes one
method, ``unpack``, and its float values follow from it. This is the specification the compiled
kernels are tested against: numpy only, correct before fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer[Any]]


class AffineBlocks(NamedTuple):
    """``n`` unpacked blocks: ``value = scale * code - minimum``, one scale a ``group`` of codes.

    Attributes:
        codes: (n, block_size), the smallest integer type that holds the format's codes.
        scale: (n, block_size // group), float32; every product of nested scales is already taken.
        minimum: shaped as ``scale`` and subtracted, or None where the format has none.
        group: how many neighbouring codes share a scale.
    """

    codes: Integers
    scale: Floats
    minimum: Floats | None
    group: int


class Encoding(ABC):
    """How a run of ``block_size`` numbers becomes ``block_bytes`` bytes, little-endian.

    Instances hold no state. ``is_float`` marks the formats that store floats as they are: those
    have ``decode`` alone. Every other one has ``unpack``, and its ``decode`` follows.
    """

    name: ClassVar[str]
    ggml_type: ClassVar[int | None]  # None: no GGUF file holds it
    block_size: ClassVar[int]
    block_bytes: ClassVar[int]
    is_float: ClassVar[bool] = False

    @property
    def bits_per_weight(self) -> float:
        """Stored bits a number, scales included: 4.5 for Q4_K."""
        return 8 * self.block_bytes / self.block_size

    @abstractmethod
    def unpack(self, blocks: Bytes) -> AffineBlocks:
        """Take (n, block_bytes) uint8 apart. A scale that is not finite stays so."""

    def decode(self, blocks: Bytes) -> Floats:
        """Turn (n, block_bytes) uint8 into (n, block_size) float32, bit for bit as ggml does."""
        with np.errstate(all="ignore"):  # a scale may be inf or nan in a hostile file
            codes, scale, minimum, group = self.unpack(blocks)
            values = codes.astype(np.float32).reshape(*scale.shape, group)
            values *= scale[..., np.newaxis]
            if minimum is not None:
                values -= minimum[..., np.newaxis]
        return values.reshape(len(blocks), self.block_size)

    def __repr__(self) -> str:
        return self.name
