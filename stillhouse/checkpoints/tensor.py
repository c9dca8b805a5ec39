"""One tensor of a checkpoint, still encoded and still in the file."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from stillhouse.encodings import Encoding

# Numbers decoded at a time: small enough that the temporaries of unpacking stay in the cache.
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class EncodedTensor:
    """A tensor that is decoded when asked, from a memory map it shares with its file.

    Attributes:
        name: its name in the file, as "blk.0.attn_q.weight".
        shape: in numpy's order, rows before columns; the last one is a multiple of the block size.
        encoding: how its numbers became bytes.
        start: where its bytes begin in ``file``; all of them lie inside.
    """

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    file: mmap.mmap
    start: int

    @property
    def num_bytes(self) -> int:
        """Its size in the file."""
        return prod(self.shape) // self.encoding.block_size * self.encoding.block_bytes

    @property
    def format_name(self) -> str:
        """For people: "Q4_K"."""
        return self.encoding.name

    @property
    def raw(self) -> npt.NDArray[np.uint8]:
        """Its bytes as (rows, row_bytes) uint8, read-only, not copied; a vector is one row."""
        flat = np.frombuffer(self.file, np.uint8, self.num_bytes, self.start)
        return flat.reshape(prod(self.shape[:-1]), -1)

    def decode(self) -> npt.NDArray[np.float32]:
        """Every number, as float32 in ``shape``."""
        blocks = self.raw.reshape(-1, self.encoding.block_bytes)
        values = np.empty((len(blocks), self.encoding.block_size), np.float32)
        step = max(1, _CHUNK // self.encoding.block_size)
        for first in range(0, len(blocks), step):
            part = slice(first, first + step)
            values[part] = self.encoding.decode(blocks[part])
        return values.reshape(self.shape)

    def decode_rows(self, indices: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The rows at ``indices`` (1-D, integers), as (len(indices), columns) float32."""
        rows = self.raw[np.asarray(indices)]
        values = self.encoding.decode(rows.reshape(-1, self.encoding.block_bytes))
        return values.reshape(len(rows), self.shape[-1])

    def release(self) -> None:
        """Tell the system that its pages are not needed soon, so that they leave resident memory.

        They come back from the file when read again. Does nothing where there is no madvise.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            first = self.start - self.start % mmap.PAGESIZE
            self.file.madvise(mmap.MADV_DONTNEED, first, self.start + self.num_bytes - first)
