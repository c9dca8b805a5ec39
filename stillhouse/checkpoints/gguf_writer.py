"""Writing GGUF files, version 3, tensor by tensor: whole or not at all.

`lay_out` knows every byte's place before there is data, so that a file's size is known before it is
begun and a writer that was killed can go on. Format: ggml's docs/gguf.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import pack
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints.gguf_entries import MetaEntry
from stillhouse.encodings import Encoding
from stillhouse.errors import NotEnoughSpace
from stillhouse.units import format_bytes

_VERSION = 3
_DEFAULT_ALIGNMENT = 32
_ALIGNMENT_KEY = "general.alignment"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that is going to be written; `shape` in numpy's order, rows of whole blocks."""

    name: str
    shape: tuple[int, ...]
    encoding: Encoding

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) // self.encoding.block_size * self.encoding.block_bytes


@dataclass(frozen=True, slots=True)
class GgufLayout:
    """Where everything lies. `starts` count from the beginning of the file."""

    header: bytes  # padded: the first tensor begins behind it
    tensors: tuple[TensorSpec, ...]
    starts: tuple[int, ...]
    file_bytes: int


def lay_out(entries: Iterable[MetaEntry], tensors: Sequence[TensorSpec]) -> GgufLayout:
    """The header, and the places of tensors in the order given."""
    entries = list(entries)
    alignment = _alignment(entries)
    table, offsets, end = [], [], 0
    for tensor in tensors:
        assert tensor.encoding.ggml_type is not None, tensor
        assert tensor.shape[-1] % tensor.encoding.block_size == 0, tensor
        name = tensor.name.encode()
        dims = tensor.shape[::-1]
        table.append(pack("<Q", len(name)) + name)
        table.append(pack(f"<I{len(dims)}Q", len(dims), *dims))
        table.append(pack("<IQ", tensor.encoding.ggml_type, end))
        offsets.append(end)
        end += tensor.num_bytes
        end += -end % alignment
    header = b"".join(
        (
            b"GGUF" + pack("<IQQ", _VERSION, len(tensors), len(entries)),
            *(entry.packed() for entry in entries),
            *table,
        )
    )
    header += bytes(-len(header) % alignment)
    starts = tuple(len(header) + offset for offset in offsets)
    return GgufLayout(header, tuple(tensors), starts, len(header) + end)


class PartialGguf:
    """The file beside its final name, filled from front to back; a context manager.

    It stays when the block is left by an exception: whoever cannot go on with it discards it.

    Attributes:
        path: the partial file.
        position: bytes written.
    """

    def __init__(self, target: Path, layout: GgufLayout, *, keep_tensors: int = 0) -> None:
        """Begin, or go on behind the first `keep_tensors`, which an earlier run has written."""
        self.target, self.layout = target, layout
        self.path = partial_path(target)
        self._keep_tensors = keep_tensors
        self.position = 0

    def __enter__(self) -> Self:
        with turning_full_disks(self.path, self.layout.file_bytes):
            keep = self._keep_tensors
            self._file = self.path.open("r+b" if keep else "wb")
            if keep:
                self.position = self._end_of(keep - 1)
                self._file.truncate(self.position)
                self._file.seek(self.position)
            else:
                self._write(self.layout.header)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()  # flushes, which a full disk refuses once more
        except OSError:
            if error is None:
                raise

    def write_tensor(self, number: int, chunks: Iterable[npt.NDArray[Any]]) -> None:
        """Write the tensor of that number, its bytes in any pieces, and the padding behind it."""
        assert self.position == self.layout.starts[number], number
        end = self.position + self.layout.tensors[number].num_bytes
        for chunk in chunks:
            with turning_full_disks(self.path, self.layout.file_bytes):
                self._write(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
        assert self.position == end, (self.layout.tensors[number], self.position - end)
        with turning_full_disks(self.path, self.layout.file_bytes):
            self._write(bytes(self._end_of(number) - end))

    def sync(self) -> None:
        """Bring everything written to the disk."""
        with turning_full_disks(self.path, self.layout.file_bytes):
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Give the whole file its name."""
        assert self.position == self.layout.file_bytes
        self.sync()
        self.path.replace(self.target)

    def _write(self, raw: bytes | memoryview) -> None:
        self._file.write(raw)
        self.position += len(raw)

    def _end_of(self, number: int) -> int:
        starts = (*self.layout.starts, self.layout.file_bytes)
        return starts[number + 1]


def write_gguf(
    path: Path,
    entries: Iterable[MetaEntry],
    tensors: Sequence[TensorSpec],
    data: Iterable[npt.NDArray[Any]],
) -> int:
    """Write a file, `data` the bytes of each tensor in order; returns its size in bytes.

    The data are arrays of any type, one at a time. Raises NotEnoughSpace for a full disk; then, and
    after any error of `data`, there is no new file, and one that was there is as it was.
    """
    layout = lay_out(entries, tensors)
    try:
        with PartialGguf(path, layout) as partial:
            for number, array in enumerate(data):
                partial.write_tensor(number, (array,))
            partial.finish()
    except BaseException:
        partial_path(path).unlink(missing_ok=True)
        raise
    return layout.file_bytes


def partial_path(target: Path) -> Path:
    """Where a file is while it is not whole."""
    return target.with_name(target.name + ".part")


@contextmanager
def turning_full_disks(path: Path, file_bytes: int) -> Iterator[None]:
    """Turn the system's error for a full disk into NotEnoughSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NotEnoughSpace(
            f"the disk filled up while {path.name} was written, which takes"
            f" {format_bytes(file_bytes)}",
            hint="free some space, and run it again",
        ) from error


def _alignment(entries: Iterable[MetaEntry]) -> int:
    for entry in entries:
        if entry.key == _ALIGNMENT_KEY:
            return int.from_bytes(entry.payload, "little")
    return _DEFAULT_ALIGNMENT
