"""JSON lines that survive a kill: whole lines or none, read back with every mistake named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from stillhouse.errors import UsageError


class LineFile:
    """A file that only grows. A context manager; nothing is there before the first line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, document: Mapping[str, Any]) -> None:
        """One line in one write: who dies has written all of it or, at worst, its beginning."""
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(self._path, flags, 0o644)
        line = line_of(document)
        try:
            if os.write(self._descriptor, line) == len(line):
                return
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {error.strerror or error}") from error
        raise UsageError(f"cannot write {self._path}: the disk is full")

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def line_of(document: Mapping[str, Any]) -> bytes:
    """Its names in the order given, so that equal documents are equal bytes."""
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"


def whole_lines(path: Path, *, mend: bool = True) -> tuple[list[bytes], bool]:
    """The lines of a file, none if it is not there; and whether its end is torn, which is cut off
    where it is to be mended. Who only reads leaves it: somebody may be writing it.

    Raises UsageError where it cannot be read or mended.
    """
    try:
        text = path.read_bytes()
        end = text.rfind(b"\n") + 1
        if end < len(text) and mend:
            os.truncate(path, end)
    except FileNotFoundError:
        return [], False
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return text[:end].splitlines(), end < len(text)


def parse_line(reader: TypeAdapter[Any], line: bytes, path: Path, number: int) -> Any:
    """A line as what it should be. Raises UsageError with the place, from 1."""
    try:
        return reader.validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise UsageError(
            f"{path}, line {number}: {what}",
            hint="this file was written by something else, or damaged: give another --folder",
        ) from None


def write_whole(path: Path, lines: Iterable[bytes]) -> None:
    """A file that appears when it is whole and on disk. Raises UsageError if it cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
