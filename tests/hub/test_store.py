"""The store: names for people, nothing half-written, nothing removed that is being pulled."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse import hub
from stillhouse.errors import UsageError
from stillhouse.hub import Manifest, Store, StoredFile


def saved(store: Store, reference: str = "tiny:q4", pulled: str | None = "2026-01-01") -> hub.Entry:
    entry = store.save(Manifest(reference, "here", (StoredFile("t.gguf", 3, "ab" * 32),), pulled))
    (entry.folder / "t.gguf").write_bytes(b"abc")
    return entry


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("smollm2-135m:q4_1", "smollm2-135m--q4_1"),
        ("hf:a/b-GGUF/c.gguf", "hf--a--b-GGUF--c.gguf"),
        ("pypi:a==1.0", "pypi--a-1.0"),
    ],
)
def test_a_folder_is_named_as_people_would(store: Store, reference: str, name: str) -> None:
    assert store.folder(reference).name == name


def test_odd_or_long_references_keep_folders_of_their_own(store: Store) -> None:
    references = [
        "https://h/x.gguf?a=1",
        "https://h/x.gguf?a=2",
        "pypi:" + "a" * 300,
        "hf:" + "../" * 9,
    ]
    names = [store.folder(reference).name for reference in references]
    assert len(set(names)) == len(names)
    assert all(len(name) < 120 and "/" not in name and name.strip(".") for name in names)


def test_a_manifest_comes_back_as_it_was_saved(store: Store) -> None:
    entry = saved(store)
    assert store.find("tiny:q4") == entry
    assert store.entries() == [entry]
    assert entry.is_complete


def test_a_short_or_missing_file_is_not_complete(store: Store) -> None:
    entry = saved(store)
    entry.first_file.write_bytes(b"ab")
    assert not entry.is_complete
    entry.first_file.unlink()
    assert not entry.is_complete


def test_a_pull_that_was_not_finished_is_not_complete(store: Store) -> None:
    assert not saved(store, pulled=None).is_complete


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"reference": "x", "files": [1]}'])
def test_a_folder_without_a_readable_manifest_is_no_model(store: Store, text: str) -> None:
    entry = saved(store)
    (entry.folder / "manifest.json").write_text(text)
    assert store.entries() == []


def test_removing_says_what_it_freed(store: Store) -> None:
    entry = saved(store)
    on_disk = entry.bytes_on_disk
    assert store.remove(entry) == on_disk > 3
    assert store.entries() == []


def test_what_is_being_pulled_is_not_removed(store: Store) -> None:
    entry = saved(store)
    with (
        store.lock("tiny:q4", on_wait=lambda: None),
        pytest.raises(UsageError, match="being pulled"),
    ):
        store.remove(entry)
    assert entry.is_complete


def test_a_store_that_was_never_used_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere").entries() == []
    assert not (tmp_path / "nowhere").exists()
