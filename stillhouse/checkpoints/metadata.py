"""The key-value part of a GGUF header: checked at once, string arrays decoded when used.

Format: ggml's docs/gguf.md, "gguf_metadata_kv_t". Arrays of arrays, which no known file holds and
llama.cpp refuses too, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints.cursor import U32, U64, Cursor, shown
from stillhouse.errors import BadCheckpoint

MetaValue = str | int | float | bool | list[str] | npt.NDArray[Any]

# Far above any real model, and low enough that no file takes a second to refuse or read.
MAX_ENTRIES = 1 << 16
MAX_STRINGS = 1 << 20
MAX_NAME_BYTES = (1 << 16) - 1

_BOOL, _STRING, _ARRAY = 7, 8, 9
_NUMBERS = {
    0: Struct("<B"),
    1: Struct("<b"),
    2: Struct("<H"),
    3: Struct("<h"),
    4: Struct("<I"),
    5: Struct("<i"),
    6: Struct("<f"),
    10: Struct("<Q"),
    11: Struct("<q"),
    12: Struct("<d"),
}


class _PackedStrings(NamedTuple):
    total: int
    raw: bytes

    def decode(self) -> list[str]:
        raw, position, texts = self.raw, 0, []
        unpack_from = U64.unpack_from
        for _ in range(self.total):
            start = position + 8
            position = start + unpack_from(raw, position)[0]
            texts.append(raw[start:position].decode())
        return texts


class Metadata(Mapping[str, MetaValue]):
    """Keys and values of one file. Numeric arrays are read-only numpy arrays, string arrays lists.

    A string array is decoded at its first use, which raises BadCheckpoint where it is not UTF-8.
    """

    def __init__(self, values: dict[str, MetaValue | _PackedStrings]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> MetaValue:
        value = self._values[key]
        if isinstance(value, _PackedStrings):
            try:
                value = self._values[key] = value.decode()
            except UnicodeDecodeError as error:
                message = f"a string of metadata {shown(key)} is not UTF-8"
                raise BadCheckpoint(message) from error
        return value

    def integer(self, key: str, default: int) -> int:
        """The integer at ``key``, or ``default``. Raises BadCheckpoint for any other type."""
        value = self.get(key, default)
        if not isinstance(value, int):
            raise BadCheckpoint(f"metadata {shown(key)} is not an integer")
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def read_metadata_entries(cursor: Cursor, count: int) -> Metadata:
    """Read ``count`` key-value pairs and leave the cursor behind them. Raises BadCheckpoint."""
    if count > MAX_ENTRIES:
        raise BadCheckpoint(f"it claims {count} metadata entries; {MAX_ENTRIES} are the limit")
    values: dict[str, MetaValue | _PackedStrings] = {}
    for _ in range(count):
        key = cursor.text(MAX_NAME_BYTES)
        if key in values:
            raise BadCheckpoint(f"metadata {shown(key)} appears twice")
        values[key] = _read_value(cursor, key)
    return Metadata(values)


def _read_value(cursor: Cursor, key: str) -> MetaValue | _PackedStrings:
    kind = cursor.unpack(U32)
    if kind in _NUMBERS:
        number: int | float = cursor.unpack(_NUMBERS[kind])
        return number
    if kind == _BOOL:
        return bool(_checked_bools(cursor.take(1), key)[0])
    if kind == _STRING:
        return cursor.text()
    if kind == _ARRAY:
        return _read_array(cursor, key)
    raise BadCheckpoint(f"metadata {shown(key)} has the unknown type {kind}")


def _read_array(cursor: Cursor, key: str) -> MetaValue | _PackedStrings:
    kind, count = cursor.unpack(U32), cursor.unpack(U64)
    if kind in _NUMBERS:
        layout = _NUMBERS[kind]
        return np.frombuffer(cursor.take(count * layout.size), np.dtype(layout.format))
    if kind == _BOOL:
        return _checked_bools(cursor.take(count), key)
    if kind == _STRING:
        if count > MAX_STRINGS:
            raise BadCheckpoint(
                f"metadata {shown(key)} claims {count} strings; {MAX_STRINGS} are the limit"
            )
        return _PackedStrings(count, cursor.take_strings(count))
    raise BadCheckpoint(f"metadata {shown(key)} is an array of type {kind}, which is not read")


def _checked_bools(raw: bytes, key: str) -> npt.NDArray[np.bool_]:
    values = np.frombuffer(raw, np.uint8)
    if (values > 1).any():
        raise BadCheckpoint(f"metadata {shown(key)} holds a truth value that is neither 0 nor 1")
    return values.view(np.bool_)
