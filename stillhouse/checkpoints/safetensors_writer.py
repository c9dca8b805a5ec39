"""Writing the safetensors files of a folder: every size is known first, tensors come in any order.

Format: the safetensors README, as in `safetensors.py`. The files have their full length from the
start and each tensor goes to its own place, so one tensor at a time is in memory, and a run that
was interrupted goes on in the same files. Until every tensor was written they are not to be read:
write into a folder of another name, and rename it at the end.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.errors import NotEnoughSpace
from stillhouse.units import format_bytes

MAX_SHARD_BYTES = 5_000_000_000  # where transformers cuts, too
INDEX_NAME = "model.safetensors.index.json"
_ALIGNMENT = 8  # of the data's beginning: the README asks that headers be padded with spaces
_ITEM_BYTES = {"F32": 4, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "F8_E4M3": 1}


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor to be written; `dtype` as safetensors spells it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor goes: its file's number, and the byte at which it begins there."""

    tensor: NewTensor
    shard: int
    start: int


class SafetensorsWriter:
    """The weights of one folder. A context manager; `open` before anything else.

    The bytes depend on the tensors and their order alone, not on the order of `write`.
    """

    def __init__(
        self, folder: Path, tensors: Sequence[NewTensor], *, max_shard_bytes: int = MAX_SHARD_BYTES
    ) -> None:
        self._folder = folder
        shards = list(_shards(tensors, max_shard_bytes))
        self._names = _shard_names(len(shards))
        self._headers = [_header(shard) for shard in shards]
        self._places: dict[str, _Place] = {}
        self._sizes: list[int] = []
        for number, (shard, header) in enumerate(zip(shards, self._headers, strict=True)):
            start = len(header)
            for tensor in shard:
                self._places[tensor.name] = _Place(tensor, number, start)
                start += tensor.num_bytes
            self._sizes.append(start)
        assert len(self._places) == len(tensors), "two tensors have one name"
        self._files: list[int] = []

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(self._sizes)

    def open(self) -> None:
        """Make the files, or open those that an earlier run made. Raises NotEnoughSpace."""
        paths = [self._folder / name for name in self._names]
        there_bytes = sum(p.stat().st_blocks * 512 for p in paths if p.exists())
        free_bytes = shutil.disk_usage(self._folder).free
        if self.total_bytes > free_bytes + there_bytes:
            raise NotEnoughSpace(
                f"the weights take {format_bytes(self.total_bytes)}, and"
                f" {format_bytes(free_bytes + there_bytes)} are free at {self._folder.parent}"
            )
        for path, header, size_bytes in zip(paths, self._headers, self._sizes, strict=True):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._files.append(file)
            os.ftruncate(file, size_bytes)
            self._put(file, header, 0)
        if len(paths) > 1:
            weight_map = {p.tensor.name: self._names[p.shard] for p in self._places.values()}
            total_bytes = sum(p.tensor.num_bytes for p in self._places.values())
            index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
            (self._folder / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n")

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Put a tensor to its place: an array of its shape whose items are its bytes."""
        place = self._places[name]
        assert array.shape == place.tensor.shape, (name, array.shape, place.tensor.shape)
        assert array.nbytes == place.tensor.num_bytes, (name, array.dtype, place.tensor.dtype)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._put(self._files[place.shard], data.data, place.start)

    def write_rows(self, name: str, first: int, array: npt.NDArray[Any]) -> None:
        """Put rows ``first`` and on of a tensor to their place; the others stay as they are."""
        place = self._places[name]
        row_bytes = place.tensor.num_bytes // place.tensor.shape[0]
        assert array.nbytes == len(array) * row_bytes, (name, array.shape, array.dtype)
        assert first + len(array) <= place.tensor.shape[0], (name, first, array.shape)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._put(self._files[place.shard], data.data, place.start + first * row_bytes)

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        with _no_full_disk(self._folder):
            for file in self._files:
                os.fsync(file)

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        while self._files:
            os.close(self._files.pop())

    def _put(self, file: int, data: bytes | memoryview, start: int) -> None:
        rest = memoryview(data)
        with _no_full_disk(self._folder):
            while rest:  # one call may write less than it was given
                count = os.pwrite(file, rest, start)
                rest, start = rest[count:], start + count


@contextmanager
def _no_full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NotEnoughSpace(
            f"the disk is full at {folder}", hint="free space and run it again: it goes on"
        ) from error


def _shards(tensors: Sequence[NewTensor], max_bytes: int) -> Iterator[list[NewTensor]]:
    """Tensors in order, a new file where the next one would make this one larger than allowed."""
    shard: list[NewTensor] = []
    size_bytes = 0
    for tensor in tensors:
        if shard and size_bytes + tensor.num_bytes > max_bytes:
            yield shard
            shard, size_bytes = [], 0
        shard.append(tensor)
        size_bytes += tensor.num_bytes
    yield shard


def _shard_names(count: int) -> list[str]:
    if count == 1:
        return ["model.safetensors"]
    return [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]


def _header(tensors: Sequence[NewTensor]) -> bytes:
    fields: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers looks for it
    end = 0
    for tensor in tensors:
        start, end = end, end + tensor.num_bytes
        fields[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
