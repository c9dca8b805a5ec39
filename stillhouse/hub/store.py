"""The models on this machine: a folder for each reference, with the files under their own names.

    models/smollm2-135m--q4_1/SmolLM2-135M-Instruct.Q4_1.gguf
                              manifest.json
    models/.locks/smollm2-135m--q4_1

A folder whose manifest has no ``pulled`` date, or whose files are not as long as it says, is a pull
that was interrupted: its ``*.part`` files are where the next one goes on.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from stillhouse import paths
from stillhouse.errors import UsageError
from stillhouse.hub.locking import locked

_MANIFEST = "manifest.json"


class StoredFile(NamedTuple):
    """One file of a model; bytes and SHA-256 are None until they are known."""

    name: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder of the store holds and where it came from."""

    reference: str
    origin: str
    files: tuple[StoredFile, ...]
    pulled: str | None  # ISO 8601, UTC; None while the pull is not done


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the store, whole or not."""

    folder: Path
    manifest: Manifest

    @property
    def is_complete(self) -> bool:
        """Whether every file is there in its full length."""
        return self.manifest.pulled is not None and all(
            (self.folder / file.name).is_file()
            and (self.folder / file.name).stat().st_size == file.size_bytes
            for file in self.manifest.files
        )

    @property
    def first_file(self) -> Path:
        """The GGUF, or the first of its parts; of a model folder, its config.json."""
        return self.folder / self.manifest.files[0].name

    @property
    def bytes_on_disk(self) -> int:
        """What removing it would free, unfinished parts included."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Store:
    """The folder of models; nothing is created before something is pulled."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = paths.home() / "models" if root is None else root

    def folder(self, reference: str) -> Path:
        """Where the files of a canonical reference are kept."""
        return self.root / _folder_name(reference)

    def find(self, reference: str) -> Entry | None:
        """What is kept for a canonical reference, whole or not."""
        return _read(self.folder(reference))

    def entries(self) -> list[Entry]:
        """Everything kept, by name."""
        if not self.root.is_dir():
            return []
        folders = sorted(path for path in self.root.iterdir() if path.is_dir())
        return [entry for folder in folders if (entry := _read(folder))]

    def save(self, manifest: Manifest) -> Entry:
        """Write the manifest, whole or not at all."""
        folder = self.folder(manifest.reference)
        folder.mkdir(parents=True, exist_ok=True)
        document = asdict(manifest) | {"files": [file._asdict() for file in manifest.files]}
        draft = folder / (_MANIFEST + ".part")
        draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        draft.replace(folder / _MANIFEST)
        return Entry(folder, manifest)

    def remove(self, entry: Entry) -> int:
        """Delete a model; the bytes freed. Raises UsageError while it is being pulled."""
        name = entry.manifest.reference

        def refuse() -> None:
            raise UsageError(f"'{name}' is being pulled", hint="stop that first, or wait for it")

        with self.lock(name, on_wait=refuse):
            freed_bytes = entry.bytes_on_disk
            shutil.rmtree(entry.folder)
        return freed_bytes

    def lock(self, reference: str, *, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep other processes from changing this model; see ``locking.locked``."""
        return locked(self.root / ".locks" / _folder_name(reference), on_wait=on_wait)


def _folder_name(reference: str) -> str:
    """A name that every file system takes; a hash keeps two apart that would look the same."""
    name = re.sub(r"==", "-", reference)
    name = re.sub(r"[:/]+", "--", name)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100].strip(".")
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(reference.encode()).hexdigest()[:8]}"


def _read(folder: Path) -> Entry | None:
    """The folder's entry; None where there is no manifest or not one of ours."""
    try:
        document = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        files = tuple(
            StoredFile(file["name"], file["size_bytes"], file["sha256"])
            for file in document["files"]
        )
        manifest = Manifest(document["reference"], document["origin"], files, document["pulled"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Entry(folder, manifest) if files else None
