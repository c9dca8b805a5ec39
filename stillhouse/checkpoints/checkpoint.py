"""A model on disk that has been opened: its metadata and its tensors, from one file or several."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Self

from stillhouse.checkpoints.compressed import CompressedTensor
from stillhouse.checkpoints.metadata import MetaValue
from stillhouse.checkpoints.tensor import EncodedTensor

Tensor = EncodedTensor | CompressedTensor


_PLACES, _PLACE_BYTES = 1024, 4096  # that a fingerprint reads of a file


class Checkpoint:
    """An open model. A context manager; its tensors are good until it closes.

    Attributes:
        metadata: what the model says about itself, in GGUF's words; stays good after closing.
        tensors: by GGUF's names, in the order of the file.
        file_bytes: the size of all its files.
    """

    def __init__(
        self,
        metadata: Mapping[str, MetaValue],
        tensors: Mapping[str, Tensor],
        files: Iterable[mmap.mmap],
    ) -> None:
        self.metadata = metadata
        self.tensors = MappingProxyType(dict(tensors))
        self._files = tuple(files)
        self.file_bytes = sum(map(len, self._files))

    def fingerprint(self) -> str:
        """16 hex digits that tell these weights from others of the same size and type.

        Of each file its size and 4 KiB at 1,024 places: quantised anew, or trained further, a model
        differs nearly everywhere. Not against forgers.
        """
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(len(file).to_bytes(8, "little"))
            for place in range(_PLACES):
                start = place * max(0, len(file) - _PLACE_BYTES) // (_PLACES - 1)
                digest.update(file[start : start + _PLACE_BYTES])
        return digest.hexdigest()[:16]

    def close(self) -> None:
        """Unmap the files; one with views in use (``EncodedTensor.raw``) goes with the last."""
        for file in self._files:
            with suppress(BufferError):
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
