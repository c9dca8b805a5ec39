"""A file while it arrives: ``NAME.part``, hashed as it is written, renamed when it is whole.

Beside it ``NAME.part.json`` keeps what the source needs to go on after a kill (an ETag, how many
parts are joined). Both stay when a pull is interrupted and go when the file is whole or wrong.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from stillhouse.errors import DownloadError, NotEnoughSpace
from stillhouse.units import format_bytes

_CHUNK_BYTES = 1 << 20


class PartialFile:
    """Opened for appending; use as a context manager."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._mark_path = target.with_name(target.name + ".part.json")
        self._hash = hashlib.sha256()
        self._file: IO[bytes]
        self.size_bytes = 0
        self.mark: dict[str, str | int] = {}

    def __enter__(self) -> Self:
        self._file = self.path.open("a+b", buffering=0)
        self.mark = _read_mark(self._mark_path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def resume(self, at_bytes: int | None = None) -> None:
        """Keep the first ``at_bytes`` that are there (all, if None) and hash them again."""
        self._hash = hashlib.sha256()
        self._file.seek(0, os.SEEK_END)
        length = self._file.tell()
        self.size_bytes = length if at_bytes is None else min(length, at_bytes)
        self._file.truncate(self.size_bytes)
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            self._hash.update(chunk)

    def restart(self) -> None:
        """Drop what is there."""
        self.resume(0)
        self.save_mark()

    def save_mark(self, **mark: str | int) -> None:
        """Remember ``mark``, and nothing else, for the next run."""
        self.mark = mark
        draft = self._mark_path.with_name(self._mark_path.name + ".part")
        draft.write_text(json.dumps(mark), encoding="utf-8")
        draft.replace(self._mark_path)

    def write(self, chunk: bytes) -> None:
        """Append; raises NotEnoughSpace when the disk fills up after all."""
        rest = memoryview(chunk)
        try:
            while rest:  # one unbuffered write may take less than it was given
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise NotEnoughSpace(
                f"the disk is full after {format_bytes(self.size_bytes)} of {self.target.name}",
                hint=f"free space at {self.target.parent} and pull again: it goes on from there",
            ) from error
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self, *, size_bytes: int | None, sha256: str | None) -> str:
        """Check what arrived against what was promised, rename it; its SHA-256.

        Raises DownloadError, and drops the file so that the next pull starts afresh.
        """
        digest = self._hash.hexdigest()
        wrong = None
        if size_bytes is not None and self.size_bytes != size_bytes:
            wrong = f"is {self.size_bytes} bytes long, not {size_bytes}"
        elif sha256 is not None and digest != sha256:
            wrong = f"has SHA-256 {digest[:12]}…, not {sha256[:12]}…"
        os.fsync(self._file.fileno())
        self._file.close()
        if wrong is None:
            self.path.replace(self.target)
        else:
            self.path.unlink()
        self._mark_path.unlink(missing_ok=True)
        if wrong is not None:
            raise DownloadError(
                f"{self.target.name} {wrong}",
                hint="it was deleted; pull again, and if it is wrong again, ask its publisher",
            )
        return digest


def _read_mark(path: Path) -> dict[str, str | int]:
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}
