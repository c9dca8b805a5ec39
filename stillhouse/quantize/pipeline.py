"""From a source to a GGUF file, tensor by tensor, in bounded memory, and resumed after a kill."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints.gguf_writer import PartialGguf, partial_path, turning_full_disks
from stillhouse.errors import NotEnoughSpace, StillhouseError, UsageError
from stillhouse.quantize.importance_facts import Importance
from stillhouse.quantize.journal import Journal, identity_of
from stillhouse.quantize.plan import Plan, PlannedTensor
from stillhouse.quantize.rows import encode_rows
from stillhouse.quantize.source import Source, SourceTensor
from stillhouse.units import format_bytes

# Numbers decoded at a time, 64 MiB of float32: few enough for memory, many enough for threads.
_CHUNK = 1 << 24
_DECODED_TOGETHER = 1 << 18  # by one thread, so that temporaries stay in the cache
_SAVED_EVERY_BYTES = 64 << 20


class QuantizeProgress(Protocol):
    """Told of every tensor, and of bytes of the new file."""

    def resumed(self, num_tensors: int, num_bytes: int) -> None:
        """So much is there from an earlier run."""

    def tensor(self, number: int, planned: PlannedTensor) -> None:
        """This one begins."""

    def wrote(self, num_bytes: int) -> None:
        """So many bytes more."""


class _Quiet:
    def resumed(self, num_tensors: int, num_bytes: int) -> None: ...

    def tensor(self, number: int, planned: PlannedTensor) -> None: ...

    def wrote(self, num_bytes: int) -> None: ...


QUIET: QuantizeProgress = _Quiet()


def quantize(
    source: Source,
    plan: Plan,
    target: Path,
    *,
    importance: Importance | None = None,
    threads: int,
    force: bool = False,
    progress: QuantizeProgress = QUIET,
) -> None:
    """Write the plan's file.

    While it is not whole it lies beside its name, with a journal. Killed or interrupted, the same
    call goes on from there, and the bytes are those of a run without a break; whatever else stops
    it (a full disk apart) leaves nothing.

    Raises UsageError for a target that is there (unless `force`), and for weights that are not
    finite; NotEnoughSpace before the work, or in the midst of it.
    """
    check_target(target, source, force=force)
    journal = Journal(target, plan.layout, identity_of(source, plan.layout, importance))
    kept = journal.resume()
    _check_space(target, plan, kept)
    try:
        _write(source, plan, target, journal, kept, importance, threads, progress)
    except NotEnoughSpace:
        raise  # with more space, the next run goes on
    except (StillhouseError, AssertionError):
        partial_path(target).unlink(missing_ok=True)
        journal.discard()
        raise
    journal.discard()


def check_target(target: Path, source: Source, *, force: bool) -> None:
    """Raises UsageError where the file cannot or should not be written."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="give the name of a GGUF file")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    if target.exists():
        if target.samefile(source.path):
            raise UsageError(f"{target} is what is read")
        if not force:
            raise UsageError(f"{target} is there already", hint="--force writes over it")


def _check_space(target: Path, plan: Plan, kept: int) -> None:
    free_bytes = shutil.disk_usage(target.parent).free
    done_bytes = plan.layout.starts[kept - 1] if kept else 0
    needed_bytes = plan.file_bytes - done_bytes
    if needed_bytes > free_bytes:
        raise NotEnoughSpace(
            f"{target.name} needs {format_bytes(needed_bytes)}, and {format_bytes(free_bytes)} are"
            f" free in {target.parent}",
            hint="free some space, or choose a smaller recipe",
        )


def _write(
    source: Source,
    plan: Plan,
    target: Path,
    journal: Journal,
    kept: int,
    importance: Importance | None,
    threads: int,
    progress: QuantizeProgress,
) -> None:
    with (
        PartialGguf(target, plan.layout, keep_tensors=kept) as file,
        ThreadPoolExecutor(threads) as pool,
    ):
        if kept:
            progress.resumed(kept, file.position)
        unsaved_bytes = 0
        try:
            for number, planned in enumerate(plan.tensors[kept:], kept):
                progress.tensor(number, planned)
                chunks = _chunks(source, planned, importance, threads, pool)
                checksum = _Checksum(chunks, progress)
                file.write_tensor(number, checksum)
                journal.add(checksum.value)
                unsaved_bytes += planned.spec.num_bytes
                if unsaved_bytes >= _SAVED_EVERY_BYTES:
                    _save(file, journal)
                    unsaved_bytes = 0
        except KeyboardInterrupt:
            _save(file, journal)
            raise
        file.finish()


def _save(file: PartialGguf, journal: Journal) -> None:
    file.sync()
    with turning_full_disks(file.path, file.layout.file_bytes):
        journal.save()


class _Checksum:
    """The pieces as they are, counted and summed up while they pass."""

    def __init__(self, chunks: Iterator[NDArray[Any]], progress: QuantizeProgress) -> None:
        self._chunks = chunks
        self._progress = progress
        self.value = 0

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for chunk in self._chunks:
            whole = np.ascontiguousarray(chunk)
            self.value = zlib.crc32(whole.reshape(-1).view(np.uint8).data, self.value)
            yield whole
            self._progress.wrote(whole.nbytes)


def _chunks(
    source: Source,
    planned: PlannedTensor,
    importance: Importance | None,
    threads: int,
    pool: ThreadPoolExecutor,
) -> Iterator[NDArray[Any]]:
    name = planned.spec.name
    if name in source.made:
        return iter((source.made[name],))
    weights = None if importance is None else importance.get(name)
    return _encoded(source.tensors[name], planned, weights, threads, pool)


def _encoded(
    tensor: SourceTensor,
    planned: PlannedTensor,
    importance: NDArray[np.float32] | None,
    threads: int,
    pool: ThreadPoolExecutor,
) -> Iterator[NDArray[Any]]:
    """The tensor's bytes in its new format, some rows at a time."""
    encoding, columns = planned.spec.encoding, tensor.shape[-1]
    for first, last in _pieces(tensor.num_rows, columns, _CHUNK):
        if planned.is_copied:
            if encoding.is_float:  # a scale that is not finite is looked for where it is decoded
                _check_finite(tensor.decoded_rows(first, last), tensor.name)
            yield tensor.raw_rows(first, last)
        else:
            rows = decoded(tensor, first, last, pool)
            yield encode_rows(encoding.name, rows, importance, threads=threads, name=tensor.name)
        tensor.release()


def _check_finite(rows: NDArray[np.float32], name: str) -> None:
    if not np.isfinite(rows).all():
        raise UsageError(f"{name} holds numbers that are not finite (NaN or infinite)")


def decoded(
    tensor: SourceTensor, first: int, last: int, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    """Rows as float32 (rows, columns), by all threads."""
    rows = np.empty((last - first, tensor.shape[-1]), np.float32)

    def work(piece: tuple[int, int]) -> None:
        start, end = piece
        rows[start:end] = tensor.decoded_rows(first + start, first + end)

    for _ in pool.map(work, _pieces(last - first, tensor.shape[-1], _DECODED_TOGETHER)):
        pass
    return rows


def _pieces(num_rows: int, columns: int, numbers: int) -> list[tuple[int, int]]:
    """Rows from and to, so that each piece has about so many numbers."""
    step = max(1, numbers // columns)
    return list(pairwise([*range(0, num_rows, step), num_rows]))
