"""llama.cpp's files of importance matrices, the GGUF form and the older one, read and written.

GGUF: for each matrix the float32 tensors ``NAME.in_sum2``, sums of squares by column, and
``NAME.counts``, how many rows were summed. Older, little-endian: int32 number of entries; for each
int32 length of the name, the name, int32 windows, int32 columns, float32 means of squares times the
windows; then, where they are there, int32 windows and the text's name as int32 length and bytes.
Source: llama.cpp, tools/imatrix/imatrix.cpp and tools/quantize/quantize.cpp.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import Checkpoint, EncodedTensor, MetaValue, open_gguf
from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.gguf_entries import meta_entry
from stillhouse.checkpoints.gguf_writer import TensorSpec, partial_path, write_gguf
from stillhouse.checkpoints.mapped_files import map_file, naming
from stillhouse.encodings import by_name
from stillhouse.errors import BadCheckpoint
from stillhouse.quantize.importance import ImportanceMatrix, Inputs
from stillhouse.quantize.texts import WINDOW_TOKENS

_SUMS, _COUNTS = ".in_sum2", ".counts"
_GGUF_MAGIC = b"GGUF"
_LEGACY_SUFFIX = ".dat"
_I32 = Struct("<i")
_MAX_ENTRIES = 1 << 16
_MAX_NAME_BYTES = 1 << 10


def read_imatrix(path: Path) -> ImportanceMatrix:
    """Read either form, told apart by their first bytes.

    A file of the older form counts windows and not rows: they are taken to be of 512 tokens, as
    llama.cpp does by default. Raises ModelNotFound and BadCheckpoint.
    """
    with map_file(path) as file:
        is_gguf = file[: len(_GGUF_MAGIC)] == _GGUF_MAGIC
        if not is_gguf:
            with naming(path):
                return _legacy(bytes(file))
    with open_gguf(path) as checkpoint, naming(path):
        return _from_gguf(checkpoint)


def write_imatrix(path: Path, matrix: ImportanceMatrix) -> None:
    """Write a file, of the older form where its name ends in .dat; whole or not at all.

    Raises NotEnoughSpace for a full disk.
    """
    if path.suffix.lower() == _LEGACY_SUFFIX:
        _write_legacy(path, matrix)
        return
    names = sorted(matrix.inputs)
    form = by_name("F32")
    tensors = [
        spec
        for name in names
        for spec in (
            TensorSpec(name + _SUMS, (len(matrix.inputs[name].mean_squares),), form),
            TensorSpec(name + _COUNTS, (1,), form),
        )
    ]
    entries = [
        meta_entry("general.type", "imatrix"),
        meta_entry("imatrix.datasets", list(matrix.texts)),
        meta_entry("imatrix.chunk_count", matrix.num_windows),
        meta_entry("imatrix.chunk_size", matrix.window_tokens),
    ]
    write_gguf(path, entries, tensors, chain.from_iterable(_sums(matrix.inputs[n]) for n in names))


def _sums(one: Inputs) -> Iterator[NDArray[np.float32]]:
    yield (one.mean_squares.astype(np.float64) * one.rows).astype(np.float32)
    yield np.array([one.rows], np.float32)


def _from_gguf(checkpoint: Checkpoint) -> ImportanceMatrix:
    metadata, tensors = checkpoint.metadata, checkpoint.tensors
    kind = metadata.get("general.type", "model")
    if kind != "imatrix":
        raise BadCheckpoint(
            f"it is no importance matrix: its general.type is {shown(str(kind))}",
            hint="llama-imatrix and 'still quantize' write them",
        )
    names = [name.removesuffix(_SUMS) for name in tensors if name.endswith(_SUMS)]
    inputs = {}
    for name in names:
        if name + _COUNTS not in tensors:
            raise BadCheckpoint(f"{shown(name)} has sums and no counts")
        sums, counts = _row(tensors[name + _SUMS]), _row(tensors[name + _COUNTS])
        if len(counts) != 1:
            raise BadCheckpoint(
                f"{shown(name)} is of {len(counts)} experts, and mixtures of experts are not read"
            )
        inputs[name] = _inputs(name, sums, float(counts[0]))
    if not inputs:
        raise BadCheckpoint("it holds no matrix")
    return ImportanceMatrix(
        inputs=inputs,
        num_windows=_count(metadata, "imatrix.chunk_count"),
        window_tokens=_count(metadata, "imatrix.chunk_size"),
        texts=_texts(metadata),
    )


def _row(tensor: object) -> NDArray[np.float32]:
    """A tensor of one row, or of one number for each of several."""
    assert isinstance(tensor, EncodedTensor), "GGUF files have no others"
    if tensor.encoding.name != "F32":
        raise BadCheckpoint(f"tensor {shown(tensor.name)} is {tensor.encoding.name}, not F32")
    if tensor.name.endswith(_SUMS) and len(tensor.raw) != 1:
        raise BadCheckpoint(
            f"{shown(tensor.name)} is {tensor.shape}: matrices of several experts are not read"
        )
    return tensor.decode().reshape(-1)


def _inputs(name: str, sums: NDArray[np.float32], rows: float) -> Inputs:
    if not (np.isfinite(sums).all() and (sums >= 0).all()):
        raise BadCheckpoint(f"{shown(name)} holds sums that are not finite, or negative")
    if not (0 <= rows < 2**53 and rows == int(rows)):
        raise BadCheckpoint(f"{shown(name)} has the count {rows:g}")
    if rows == 0:  # no row came by: every column alike, as llama.cpp takes it
        return Inputs(np.ones_like(sums), 0)
    return Inputs((sums.astype(np.float64) / rows).astype(np.float32), int(rows))


def _count(metadata: Mapping[str, MetaValue], key: str) -> int:
    value = metadata.get(key)
    if not isinstance(value, int) or value < 0:
        raise BadCheckpoint(f"its {key} is missing, or no count")
    return value


def _texts(metadata: Mapping[str, MetaValue]) -> tuple[str, ...]:
    value = metadata.get("imatrix.datasets", [])
    if not isinstance(value, list):
        raise BadCheckpoint("its imatrix.datasets are no list of names")
    return tuple(value)


def _legacy(raw: bytes) -> ImportanceMatrix:
    reader = _Reader(raw)
    count = reader.integer()
    if not 0 < count <= _MAX_ENTRIES:
        raise BadCheckpoint("it is neither GGUF nor an importance matrix of the older form")
    inputs, most = {}, 0
    for _ in range(count):
        name = reader.text(_MAX_NAME_BYTES)
        if name in inputs:
            raise BadCheckpoint(f"{shown(name)} is there twice")
        num_windows, columns = reader.integer(), reader.integer()
        if num_windows <= 0 or columns <= 0:
            raise BadCheckpoint(f"{shown(name)} claims {num_windows} windows, {columns} columns")
        values = np.frombuffer(reader.take(4 * columns), "<f4").astype(np.float32)
        found = _inputs(name, values, num_windows)
        inputs[name] = Inputs(found.mean_squares, num_windows * WINDOW_TOKENS)
        most = max(most, num_windows)
    texts: tuple[str, ...] = ()
    if not reader.is_at_end:
        reader.integer()  # windows, which the entries say too
        if not reader.is_at_end:
            text = reader.text(len(raw))
            texts = (text,) if text else ()
    if not reader.is_at_end:
        raise BadCheckpoint("there is more behind its end")
    return ImportanceMatrix(inputs=inputs, num_windows=most, texts=texts)


def _write_legacy(path: Path, matrix: ImportanceMatrix) -> None:
    parts = [_I32.pack(len(matrix.inputs))]
    for name in sorted(matrix.inputs):
        one, raw = matrix.inputs[name], name.encode()
        num_windows = max(1, -(-one.rows // matrix.window_tokens))
        values = (one.mean_squares.astype(np.float64) * num_windows).astype("<f4")
        parts += [_I32.pack(len(raw)), raw, _I32.pack(num_windows), _I32.pack(len(values))]
        parts.append(values.tobytes())
    text = matrix.texts[-1].encode() if matrix.texts else b""
    parts += [_I32.pack(matrix.num_windows), _I32.pack(len(text)), text]
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class _Reader:
    """Reads front to back and compares every length with what is left."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._raw)

    def take(self, num_bytes: int) -> bytes:
        if not 0 <= num_bytes <= len(self._raw) - self._at:
            raise BadCheckpoint(f"it is truncated, or malformed, at byte {self._at}")
        self._at += num_bytes
        return self._raw[self._at - num_bytes : self._at]

    def integer(self) -> int:
        return int(_I32.unpack(self.take(4))[0])

    def text(self, max_bytes: int) -> str:
        num_bytes = self.integer()
        if num_bytes > max_bytes:
            raise BadCheckpoint(f"a name of {num_bytes} bytes at byte {self._at}")
        try:
            return self.take(num_bytes).decode()
        except UnicodeDecodeError as error:
            raise BadCheckpoint(f"a name before byte {self._at} is not UTF-8") from error
