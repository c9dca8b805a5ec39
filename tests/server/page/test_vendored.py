from __future__ import annotations

import hashlib
import json
from pathlib import Path

import stillhouse.server

VENDOR = Path(stillhouse.server.__file__).parent / "web" / "vendor"
LOCK = Path(__file__).parents[3] / "tools" / "web" / "package-lock.json"


def test_vendored_files_are_those_of_the_manifest() -> None:
    listed = {
        row["file"]: row["sha256"] for row in json.loads((VENDOR / "MANIFEST.json").read_text())
    }
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }
    assert found == listed


def test_every_vendored_package_comes_with_its_licence_and_the_locked_version() -> None:
    rows = json.loads((VENDOR / "MANIFEST.json").read_text())
    locked = json.loads(LOCK.read_text())["packages"]
    for package in {row["package"] for row in rows}:
        files = [row for row in rows if row["package"] == package]
        assert any(row["file"].endswith("/LICENSE") for row in files)
        assert {row["version"] for row in files} == {locked[f"node_modules/{package}"]["version"]}


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in LOCK.read_text()
