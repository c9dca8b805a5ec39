"""The header of a safetensors file, every field checked.

Format: the safetensors README: a length as a u64, that many bytes of JSON (name to dtype, shape and
offsets), then the data without holes. The library itself gives numpy no bfloat16 and no 8-bit
floats; here tensors stay bytes anyway.
"""

from __future__ import annotations

import mmap
from itertools import pairwise
from math import prod
from operator import attrgetter
from typing import Any

from stillhouse.checkpoints.cursor import MAX_HEADER_BYTES, U64, shown
from stillhouse.checkpoints.gguf_header import TensorEntry
from stillhouse.checkpoints.json_object import parse_json_object
from stillhouse.encodings import Encoding, by_name
from stillhouse.errors import BadCheckpoint
from stillhouse.units import format_bytes

# The type's name in the file, where it is not our own for it.
_OTHER_NAMES = {"F8_E4M3FN": "F8_E4M3"}
_DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E4M3FN", "I64", "I32", "I16", "I8")
_MAX_DIMS = 8


def read_safetensors_header(file: mmap.mmap | bytes) -> list[TensorEntry]:
    """The tensors of one file, in the order of their bytes; ``start`` counts from its beginning.

    Raises BadCheckpoint: it is truncated, malformed, or holds numbers of a type that is not read.
    """
    if len(file) < U64.size:
        raise BadCheckpoint(f"it is truncated: {len(file)} bytes", hint="pull the model again")
    header_bytes = U64.unpack_from(file)[0]
    if header_bytes > MAX_HEADER_BYTES:
        raise BadCheckpoint(
            f"its header claims {header_bytes} bytes; {format_bytes(MAX_HEADER_BYTES)} are the"
            " limit",
            hint="it may not be a safetensors file",
        )
    data_start = U64.size + header_bytes
    if data_start > len(file):
        raise BadCheckpoint(
            f"it is truncated: the header ends at byte {data_start}, the file at {len(file)}",
            hint="pull the model again",
        )
    try:
        text = bytes(file[U64.size : data_start]).decode()
    except UnicodeDecodeError as error:
        raise BadCheckpoint("its header is not UTF-8") from error
    described = parse_json_object(text).values
    tensors = [
        _entry(name, fields, data_start)
        for name, fields in described.items()
        if name != "__metadata__"
    ]
    tensors.sort(key=attrgetter("start"))
    _check_extents(tensors, data_start, len(file))
    return tensors


def _entry(name: str, fields: Any, data_start: int) -> TensorEntry:
    if not isinstance(fields, dict) or not {"dtype", "shape", "data_offsets"} <= fields.keys():
        raise BadCheckpoint(f"tensor {shown(name)} lacks a dtype, a shape or offsets")
    encoding = _encoding(name, fields["dtype"])
    shape, offsets = fields["shape"], fields["data_offsets"]
    if not _are_counts(shape) or len(shape) > _MAX_DIMS or 0 in shape:
        raise BadCheckpoint(f"tensor {shown(name)} has the shape {shown(str(shape))}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise BadCheckpoint(f"tensor {shown(name)} has the offsets {shown(str(offsets))}")
    tensor = TensorEntry(name, tuple(shape), encoding, data_start + offsets[0])
    size_bytes = prod(shape) * encoding.block_bytes
    if offsets[1] - offsets[0] != size_bytes:
        raise BadCheckpoint(
            f"tensor {shown(name)} is {encoding.name} {shown(str(shape))}, {size_bytes} bytes, and"
            f" its offsets span {offsets[1] - offsets[0]}"
        )
    return tensor


def _encoding(name: str, dtype: Any) -> Encoding:
    if dtype not in _DTYPES:
        raise BadCheckpoint(
            f"tensor {shown(name)} is of the type {shown(str(dtype))}, which is not read",
            hint="read are " + ", ".join(_DTYPES),
        )
    return by_name(_OTHER_NAMES.get(dtype, dtype))


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48
        for value in values
    )


def _check_extents(tensors: list[TensorEntry], data_start: int, file_bytes: int) -> None:
    for before, after in pairwise(tensors):
        if before.end != after.start:
            raise BadCheckpoint(
                f"tensor {shown(after.name)} begins at byte {after.start}, and the one before it"
                f" ends at {before.end}"
            )
    first, last = (tensors[0].start, tensors[-1].end) if tensors else (data_start, data_start)
    if first != data_start:
        raise BadCheckpoint(f"its data begin at byte {data_start}, its first tensor at {first}")
    if last != file_bytes:
        raise BadCheckpoint(
            f"its tensors end at byte {last}, the file at {file_bytes}", hint="pull it again"
        )
