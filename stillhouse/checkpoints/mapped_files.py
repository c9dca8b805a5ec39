"""Files as memory maps, and their names before what is wrong with them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.errors import BadCheckpoint, ModelNotFound


def map_file(path: Path) -> mmap.mmap:
    """Map a whole file for reading.

    Raises:
        ModelNotFound: there is no such file.
        BadCheckpoint: it is empty, not a regular file, or cannot be read.
    """
    if not path.exists():
        raise ModelNotFound(f"{path}: no such file")
    if not path.is_file():  # opening a pipe would wait forever
        raise BadCheckpoint(f"{path.name} is not a regular file")
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise BadCheckpoint(f"{path.name} is empty", hint="pull the model again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error.strerror}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path.name}: {error.message}", hint=error.hint) from error
