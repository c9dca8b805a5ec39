"""What every source of models can do; ``open_source`` picks the one for a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stillhouse.hub import transfer
from stillhouse.hub.hub_repo import HubRepo
from stillhouse.hub.packages import Packages
from stillhouse.hub.partial import PartialFile
from stillhouse.hub.progress import Progress
from stillhouse.hub.references import (
    HubReference,
    PackageReference,
    RemoteReference,
    UrlReference,
)
from stillhouse.hub.store import StoredFile


class Source(Protocol):
    """Files that can be fetched, first part first."""

    @property
    def origin(self) -> str:
        """Where the files come from, as a user would recognise it."""

    @property
    def files(self) -> Sequence[StoredFile]:
        """What there is to fetch."""

    @property
    def scratch_bytes(self) -> int:
        """Disk space that fetching needs beside the files themselves."""

    def fetch(self, file: StoredFile, into: PartialFile, progress: Progress) -> None:
        """Append to ``into`` what it lacks of ``file``."""


class Url:
    """A plain download."""

    scratch_bytes = 0

    def __init__(self, reference: UrlReference) -> None:
        self.origin = reference.url
        self.files = (StoredFile(reference.file, transfer.probe(reference.url), reference.sha256),)

    def fetch(self, file: StoredFile, into: PartialFile, progress: Progress) -> None:
        transfer.fetch(self.origin, into, size_bytes=file.size_bytes, headers={}, progress=progress)


def open_source(reference: RemoteReference) -> Source:
    """Find out what ``reference`` consists of; for a hub repository that asks the hub."""
    match reference:
        case HubReference():
            return HubRepo(reference)
        case PackageReference():
            return Packages(reference)
        case UrlReference():
            return Url(reference)
