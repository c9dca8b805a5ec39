"""Pulling a model into the store, and finding it there."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from stillhouse.errors import ModelNotFound, NotEnoughSpace, StillhouseError
from stillhouse.hub.partial import PartialFile
from stillhouse.hub.progress import QUIET, Progress
from stillhouse.hub.references import PathReference, RemoteReference, parse_reference
from stillhouse.hub.sources import Source, open_source
from stillhouse.hub.store import Entry, Manifest, Store, StoredFile
from stillhouse.units import format_bytes


def resolve(text: str, *, progress: Progress = QUIET, store: Store | None = None) -> Path:
    """The local GGUF that ``text`` means, or the first of its parts; pulled if it is not here yet.
    Of a folder of safetensors it is the config.json, or the folder if that is what was typed.

    Raises UsageError, ModelNotFound, AccessDenied, Offline, DownloadError or NotEnoughSpace.
    """
    reference = parse_reference(text)
    if isinstance(reference, PathReference):
        if not reference.path.exists():
            raise ModelNotFound(
                f"there is no file {reference.path}",
                hint="a hub repository is written hf:owner/repo; 'still list' shows what is here",
            )
        return reference.path
    return pull(reference, progress=progress, store=store).first_file


def pull(
    reference: RemoteReference, *, progress: Progress = QUIET, store: Store | None = None
) -> Entry:
    """Fetch what is missing of a model; every file checked, the store never left half-written."""
    store = store or Store()
    if reference.note is not None:
        progress.note(reference.note)
    here = store.find(reference.text)
    if here is not None and here.is_complete:
        return here

    def waiting() -> None:
        progress.note(f"another process is pulling {reference.text}; waiting for it")

    with store.lock(reference.text, on_wait=waiting):
        here = store.find(reference.text)
        if here is not None and here.is_complete:
            return here
        source = open_source(reference)
        sizes = [file.size_bytes for file in source.files if file.size_bytes is not None]
        size = f" ({format_bytes(sum(sizes))})" if sizes else ""
        where = "" if source.origin in reference.text else f" from {source.origin}"
        progress.note(f"pulling {reference.text}{size}{where}")
        begun = store.save(Manifest(reference.text, source.origin, tuple(source.files), None))
        try:
            _check_space(source, begun.folder)
            files = tuple(_fetched(source, file, begun.folder, progress) for file in source.files)
        except StillhouseError:
            _forget_if_empty(begun)
            raise
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return store.save(Manifest(reference.text, source.origin, files, now))


def _fetched(source: Source, file: StoredFile, folder: Path, progress: Progress) -> StoredFile:
    """One file in its place, as it turned out to be."""
    target = folder / file.name
    if target.is_file() and target.stat().st_size == file.size_bytes:
        return file  # renamed only once it was checked, by an earlier run
    progress.start(file.name, file.size_bytes)
    try:
        with PartialFile(target) as partial:
            source.fetch(file, partial, progress)
            sha256 = partial.finish(size_bytes=file.size_bytes, sha256=file.sha256)
    finally:
        progress.end()
    return StoredFile(file.name, target.stat().st_size, sha256)


def _check_space(source: Source, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = sum(file.size_bytes or 0 for file in source.files) + source.scratch_bytes - here
    if needed > free:
        raise NotEnoughSpace(
            f"{format_bytes(needed)} are needed and {format_bytes(free)} are free at {folder}",
            hint="'still rm' frees space; STILLHOUSE_HOME moves the store to another disk",
        )


def _forget_if_empty(entry: Entry) -> None:
    """A pull that got nothing leaves nothing; one that got something can go on from there."""
    fetched = (path for path in entry.folder.rglob("*") if path.suffix not in (".json", ".log"))
    if not any(path.is_file() and path.stat().st_size for path in fetched):
        shutil.rmtree(entry.folder)
