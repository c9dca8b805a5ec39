from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "legs.jsonl"
    rows = [{"question": f"Legs of spider {n}?", "answer": "So it is.\n#### 8"} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where default folders are made."""
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
