"""Where models come from: references, the sources behind them, and the store on this machine."""

from stillhouse.hub.progress import QUIET, Progress, TerminalProgress
from stillhouse.hub.pull import pull, resolve
from stillhouse.hub.references import (
    HubReference,
    PackageReference,
    PathReference,
    Reference,
    UrlReference,
    parse_reference,
)
from stillhouse.hub.store import Entry, Manifest, Store, StoredFile

__all__ = [
    "QUIET",
    "Entry",
    "HubReference",
    "Manifest",
    "PackageReference",
    "PathReference",
    "Progress",
    "Reference",
    "Store",
    "StoredFile",
    "TerminalProgress",
    "UrlReference",
    "parse_reference",
    "pull",
    "resolve",
]
