"""What a run leaves beside a partial file, so that the next one knows how far it is, and of what.

A journal belongs to one source, recipe, importance and version of Stillhouse: its `identity` is
their digest. Another one's partial file is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path

from stillhouse import __version__
from stillhouse.checkpoints.gguf_writer import GgufLayout, partial_path
from stillhouse.quantize.importance_facts import Importance
from stillhouse.quantize.source import Source

_CHUNK_BYTES = 1 << 22


class Journal:
    """The number of tensors that are on the disk, and a checksum of each with its padding."""

    def __init__(self, target: Path, layout: GgufLayout, identity: str) -> None:
        self._partial = partial_path(target)
        self.path = self._partial.with_name(self._partial.name + ".json")
        self._layout = layout
        self._identity = identity
        self._checksums: list[int] = []

    def resume(self) -> int:
        """How many tensors an earlier run of the same has written, and are still what they were."""
        self._checksums = []
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["identity"] != self._identity:
                return 0
            checksums = [int(one) for one in kept["checksums"]]
            with self._partial.open("rb") as file:
                if file.read(len(self._layout.header)) != self._layout.header:
                    return 0
                for number, checksum in enumerate(checksums):
                    left = self._layout.tensors[number].num_bytes
                    found = 0
                    file.seek(self._layout.starts[number])
                    while left:
                        chunk = file.read(min(left, _CHUNK_BYTES))
                        if not chunk:
                            return len(self._checksums)
                        found = zlib.crc32(chunk, found)
                        left -= len(chunk)
                    if found != checksum:
                        break
                    self._checksums.append(checksum)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            pass  # none, or one that says nothing: what is kept so far is right all the same
        return len(self._checksums)

    def add(self, checksum: int) -> None:
        """One more tensor is written."""
        self._checksums.append(checksum)

    def save(self) -> None:
        """Say so on the disk; the data must be there before."""
        draft = self.path.with_name(self.path.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump({"identity": self._identity, "checksums": self._checksums}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)

    def discard(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)


def identity_of(source: Source, layout: GgufLayout, importance: Importance | None) -> str:
    """A digest of all that decides the file's bytes."""
    digest = hashlib.sha256(f"{__version__}\n{source.identity()}\n".encode())
    digest.update(layout.header)
    for name, weights in sorted((importance or {}).items()):
        digest.update(f"{name}\n".encode() + weights.tobytes())
    return digest.hexdigest()
