"""Entries of GGUF metadata as bytes: made from Python's values, or taken from a file as they are.

An entry keeps its type, which `Metadata` forgets: a file that is written from another one has the
same uint32 where that had one. Format: ggml's docs/gguf.md, "gguf_metadata_kv_t".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints.cursor import U32, U64, Cursor
from stillhouse.checkpoints.gguf_header import check_magic_and_version
from stillhouse.checkpoints.mapped_files import map_file, naming
from stillhouse.checkpoints.metadata import MAX_NAME_BYTES, read_metadata_entries


class ValueType(IntEnum):
    """Enum gguf_type."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


_DTYPES = {
    ValueType.UINT8: "<u1",
    ValueType.INT8: "<i1",
    ValueType.UINT16: "<u2",
    ValueType.INT16: "<i2",
    ValueType.UINT32: "<u4",
    ValueType.INT32: "<i4",
    ValueType.FLOAT32: "<f4",
    ValueType.BOOL: "?",
    ValueType.UINT64: "<u8",
    ValueType.INT64: "<i8",
    ValueType.FLOAT64: "<f8",
}
_TYPE_OF = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
_ARRAY_HEAD = Struct("<IQ")

Value = str | bool | int | float | Sequence[str] | npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class MetaEntry:
    """A key and its value as the file holds it: `payload` is what follows the type's number."""

    key: str
    kind: ValueType
    payload: bytes

    def packed(self) -> bytes:
        """All its bytes in the file."""
        return _packed_text(self.key) + U32.pack(self.kind) + self.payload


def meta_entry(key: str, value: Value, kind: ValueType | None = None) -> MetaEntry:
    """An entry of a Python value.

    Arrays of numbers are numpy arrays and keep their type; sequences of strings are string arrays.

    Args:
        kind: of a single number. None: bool; uint32, or int32, uint64, int64 where one of these
            is the first that holds it; float32.
    """
    if isinstance(value, str):
        return MetaEntry(key, ValueType.STRING, _packed_text(value))
    if isinstance(value, np.ndarray):
        assert value.ndim == 1, key
        item = _TYPE_OF[value.dtype.newbyteorder("<")]
        raw = np.ascontiguousarray(value, _DTYPES[item]).tobytes()
        return MetaEntry(key, ValueType.ARRAY, _ARRAY_HEAD.pack(item, value.size) + raw)
    if isinstance(value, Sequence):
        texts = b"".join(map(_packed_text, value))
        head = _ARRAY_HEAD.pack(ValueType.STRING, len(value))
        return MetaEntry(key, ValueType.ARRAY, head + texts)
    kind = _smallest(value) if kind is None else kind
    return MetaEntry(key, kind, np.array(value, _DTYPES[kind]).tobytes())


def read_entries(path: Path) -> list[MetaEntry]:
    """All entries of a GGUF file in its order, checked as `open_gguf` checks them.

    Raises ModelNotFound and BadCheckpoint.
    """
    with map_file(path) as file, naming(path):
        cursor = Cursor(file)
        check_magic_and_version(cursor)
        cursor.unpack(U64)
        count = cursor.unpack(U64)
        start = cursor.position
        read_metadata_entries(cursor, count)  # raises for anything that is malformed
        cursor.position = start
        return [_read_entry(cursor) for _ in range(count)]


def replaced(entries: Iterable[MetaEntry], *news: MetaEntry) -> list[MetaEntry]:
    """The entries without those of the new ones' keys, and the new ones behind them."""
    keys = {entry.key for entry in news}
    return [*(entry for entry in entries if entry.key not in keys), *news]


def _read_entry(cursor: Cursor) -> MetaEntry:
    key = cursor.text(MAX_NAME_BYTES)
    kind = ValueType(cursor.unpack(U32))
    start = cursor.position
    if kind is ValueType.STRING:
        cursor.take(cursor.unpack(U64))
    elif kind is ValueType.ARRAY:
        item, count = ValueType(cursor.unpack(U32)), cursor.unpack(U64)
        if item is ValueType.STRING:
            cursor.take_strings(count)
        else:
            cursor.skip(count * np.dtype(_DTYPES[item]).itemsize)
    else:
        cursor.skip(np.dtype(_DTYPES[kind]).itemsize)
    return MetaEntry(key, kind, cursor.buffer[start : cursor.position])


def _packed_text(text: str) -> bytes:
    raw = text.encode()
    return U64.pack(len(raw)) + raw


def _smallest(value: bool | int | float) -> ValueType:
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, float):
        return ValueType.FLOAT32
    kinds = ValueType.UINT32, ValueType.INT32, ValueType.UINT64, ValueType.INT64
    for kind in kinds:
        limits = np.iinfo(_DTYPES[kind])
        if limits.min <= value <= limits.max:
            return kind
    raise OverflowError(f"{value} is no 64-bit integer")
