"""Opening GGUF models: one file, or all parts of a split one (``name-00001-of-00003.gguf``)."""

from __future__ import annotations

import mmap
import re
from contextlib import ExitStack
from pathlib import Path

from stillhouse.checkpoints.checkpoint import Checkpoint
from stillhouse.checkpoints.cursor import Cursor, shown
from stillhouse.checkpoints.gguf_header import GgufHeader, check_extents, read_header
from stillhouse.checkpoints.mapped_files import map_file, naming
from stillhouse.checkpoints.metadata import Metadata
from stillhouse.checkpoints.tensor import EncodedTensor
from stillhouse.errors import BadCheckpoint

_PART_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def open_gguf(path: Path) -> Checkpoint:
    """Map a GGUF model and check it whole: header, extents of all tensors, completeness of a split.

    Args:
        path: the file, or any part of a split model; the other parts lie beside it.

    Raises:
        ModelNotFound: there is no such file.
        BadCheckpoint: it is truncated, malformed, incomplete, or of a kind that is not read.
    """
    with ExitStack() as opened:
        headers, files = [], []
        tensors: dict[str, EncodedTensor] = {}
        paths = _part_paths(path)
        for number, part in enumerate(paths):
            file = opened.enter_context(map_file(part))
            with naming(part):
                header = read_header(Cursor(file))
                _check_split(header.metadata, number, len(paths))
                check_extents(header.tensors, len(file))
                _add_tensors(tensors, header, file)
            headers.append(header)
            files.append(file)
        metadata = headers[0].metadata
        with naming(path):
            total = metadata.integer("split.tensors.count", len(tensors))
            if total != len(tensors):
                raise BadCheckpoint(f"its parts hold {len(tensors)} tensors, not {total}")
        opened.pop_all()  # they stay open: the checkpoint owns them now
        return Checkpoint(metadata, tensors, files)


def read_gguf_metadata(path: Path) -> Metadata:
    """Read the metadata alone, from a file whose data may be missing (the head of a download).

    Raises as ``open_gguf`` does, but for what concerns data and other parts.
    """
    with map_file(path) as file, naming(path):
        return read_header(Cursor(file)).metadata


def _part_paths(path: Path) -> list[Path]:
    match = _PART_NAME.fullmatch(path.name)
    if match is None or not path.exists():
        return [path]
    stem, number, count = match[1], int(match[2]), int(match[3])
    if not 1 <= number <= count:
        raise BadCheckpoint(f"{path.name}: part {number} of {count} cannot be")
    parts = [path.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    for part in parts:
        if not part.exists():
            raise BadCheckpoint(f"{part.name} is missing beside {path.name}", hint="pull it again")
    return parts


def _check_split(metadata: Metadata, number: int, count: int) -> None:
    claimed_number = metadata.integer("split.no", 0)
    claimed_count = metadata.integer("split.count", 0) or 1  # 0 is written for a single file too
    if (claimed_number, claimed_count) != (number, count):
        raise BadCheckpoint(
            f"it was written as part {claimed_number + 1} of {claimed_count}, "
            f"and found as part {number + 1} of {count}",
            hint="parts of a split model keep their names: NAME-00001-of-00002.gguf",
        )


def _add_tensors(tensors: dict[str, EncodedTensor], header: GgufHeader, file: mmap.mmap) -> None:
    for name, shape, encoding, start in header.tensors:
        if name in tensors:
            raise BadCheckpoint(f"tensor {shown(name)} is in an earlier part too")
        tensors[name] = EncodedTensor(name, shape, encoding, file, start)
