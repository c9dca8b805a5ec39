"""The one JSON document that a command prints under `--json`, and what all of them carry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from stillhouse import __version__
from stillhouse.cli.json_names import DOCUMENTS
from stillhouse.errors import UsageError
from stillhouse.hardware import this_machine


def whole_document(command: str, *, model: str | None = None, **results: Any) -> dict[str, Any]:
    """`results` after the names that every document carries.

    `model` is the reference as the user gave it; None where a command is about no model.
    """
    assert results.keys() <= DOCUMENTS[command].keys(), "a name that the reference does not have"
    document: dict[str, Any] = {
        "command": command,
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": model,
    }
    return document | results


def print_document(command: str, *, model: str | None = None, **results: Any) -> None:
    """Print the whole document to stdout."""
    document = whole_document(command, model=model, **results)
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears when it is whole, and say so. Raises UsageError if it cannot."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    print(f"written: {path}", file=sys.stderr)


def check_writable(path: Path | None) -> None:
    """Raises UsageError for a file that `write_whole` could not write, before there is anything to
    write: nobody should wait for an hour to be told."""
    if path is None:
        return
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        missing = not path.parent.is_dir()
        why = "is a folder" if path.is_dir() else f"has no folder {path.parent}" if missing else ""
        raise UsageError(f"cannot write {path}: it {why or 'may not be written'}")


def commit() -> str | None:
    """The checkout's commit, '+' after it where files differ; None for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ("git", "-C", str(root))
    try:
        head = subprocess.run((*git, "rev-parse", "HEAD"), capture_output=True, text=True)
        changes = subprocess.run((*git, "status", "--porcelain", "-uno"), capture_output=True)
    except OSError:
        return None
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("+" if changes.stdout else "")
