"""The header of one GGUF file: version, metadata and the table of tensors, every field checked.

Format: ggml's docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

from math import prod
from operator import attrgetter
from typing import NamedTuple

from stillhouse.checkpoints.cursor import U32, U64, Cursor, shown
from stillhouse.checkpoints.metadata import (
    MAX_ENTRIES,
    MAX_NAME_BYTES,
    Metadata,
    read_metadata_entries,
)
from stillhouse.encodings import Encoding, by_ggml_type
from stillhouse.errors import BadCheckpoint

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_DIMS = 4
_DEFAULT_ALIGNMENT = 32


class TensorEntry(NamedTuple):
    """A line of the tensor table; ``start`` counts from the beginning of the file."""

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    start: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        num_blocks = prod(self.shape) // self.encoding.block_size
        return self.start + num_blocks * self.encoding.block_bytes


class GgufHeader(NamedTuple):
    """What a GGUF file says before its data begin."""

    metadata: Metadata
    tensors: list[TensorEntry]


def read_header(cursor: Cursor) -> GgufHeader:
    """Read a header from its first byte. Whether the tensors fit the file is not looked at here.

    Raises:
        BadCheckpoint: it is not GGUF, of a version that is not read, or malformed.
    """
    check_magic_and_version(cursor)
    num_tensors, num_entries = cursor.unpack(U64), cursor.unpack(U64)
    metadata = read_metadata_entries(cursor, num_entries)
    tensors = _read_tensor_table(cursor, num_tensors, _alignment(metadata))
    return GgufHeader(metadata, tensors)


def check_extents(tensors: list[TensorEntry], file_bytes: int) -> None:
    """Check that tensors neither overlap nor pass the end of the file. Raises BadCheckpoint."""
    previous_end = 0
    for tensor in sorted(tensors, key=attrgetter("start")):
        if tensor.start < previous_end:
            raise BadCheckpoint(f"tensor {shown(tensor.name)} overlaps another one")
        previous_end = tensor.end
        if previous_end > file_bytes:
            raise BadCheckpoint(
                f"it is truncated: tensor {shown(tensor.name)} ends at byte {previous_end}, "
                f"the file at {file_bytes}",
                hint="pull the model again",
            )


def check_magic_and_version(cursor: Cursor) -> None:
    """Step over the first two fields. Raises BadCheckpoint."""
    magic = cursor.take(len(_MAGIC))
    if magic != _MAGIC:
        raise BadCheckpoint(f"it is not a GGUF file: it begins with {magic!r}, not {_MAGIC!r}")
    version = cursor.unpack(U32)
    if version & 0xFFFF == 0:  # a small number in the other byte order
        raise BadCheckpoint(
            "it is a big-endian GGUF file, and only little-endian ones are read",
            hint="gguf-py's gguf-convert-endian converts it",
        )
    if version not in _VERSIONS:
        raise BadCheckpoint(f"it is GGUF version {version}; versions 2 and 3 are read")


def _alignment(metadata: Metadata) -> int:
    alignment = metadata.integer("general.alignment", _DEFAULT_ALIGNMENT)
    if alignment <= 0 or alignment & (alignment - 1):
        raise BadCheckpoint(f"its alignment is {alignment}, not a power of two")
    return alignment


def _read_tensor_table(cursor: Cursor, count: int, alignment: int) -> list[TensorEntry]:
    if count > MAX_ENTRIES:
        raise BadCheckpoint(f"it claims {count} tensors; {MAX_ENTRIES} are the limit")
    relative: dict[str, TensorEntry] = {}
    for _ in range(count):
        tensor = _read_tensor_entry(cursor, alignment)
        if tensor.name in relative:
            raise BadCheckpoint(f"tensor {shown(tensor.name)} appears twice")
        relative[tensor.name] = tensor
    data_start = cursor.position + -cursor.position % alignment
    return [tensor._replace(start=data_start + tensor.start) for tensor in relative.values()]


def _read_tensor_entry(cursor: Cursor, alignment: int) -> TensorEntry:
    name = cursor.text(MAX_NAME_BYTES)
    num_dims = cursor.unpack(U32)
    if not 1 <= num_dims <= _MAX_DIMS:
        raise BadCheckpoint(f"tensor {shown(name)} has {num_dims} dimensions, not 1 to {_MAX_DIMS}")
    # Stored fastest first, the opposite of numpy's order.
    shape = tuple(cursor.unpack(U64) for _ in range(num_dims))[::-1]
    number, offset = cursor.unpack(U32), cursor.unpack(U64)
    if 0 in shape:
        raise BadCheckpoint(f"tensor {shown(name)} has a dimension of 0")
    try:
        encoding = by_ggml_type(number)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"tensor {shown(name)}: {error.message}", hint=error.hint) from error
    if shape[-1] % encoding.block_size:
        raise BadCheckpoint(
            f"tensor {shown(name)} has rows of {shape[-1]}, "
            f"not a multiple of the {encoding.block_size} of a {encoding.name} block"
        )
    if offset % alignment:
        raise BadCheckpoint(f"tensor {shown(name)} is not aligned to {alignment} bytes")
    return TensorEntry(name, shape, encoding, offset)
