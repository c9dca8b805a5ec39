"""A store of its own and a hub of its own for every test of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stillhouse import hub
from tests.hub.hub_server import HubServer

REPO = "maker/Tiny-GGUF"


@pytest.fixture
def store(tmp_path: Path) -> hub.Store:
    return hub.Store(tmp_path / "models")


@pytest.fixture
def contents() -> dict[str, bytes]:
    """Files of half a megabyte: a Q4_K_M, a Q8_0, and a BF16 in two parts in a folder."""
    generator = np.random.default_rng(7)
    names = (
        "README.md",
        "Tiny-Q4_K_M.gguf",
        "Tiny-Q8_0.gguf",
        "mmproj-Tiny-F16.gguf",
        "BF16/Tiny-BF16-00001-of-00002.gguf",
        "BF16/Tiny-BF16-00002-of-00002.gguf",
    )
    return {name: generator.bytes(500_000) for name in names}


@pytest.fixture
def server(contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer({REPO: contents}) as running:
        running.stand_in(monkeypatch)
        yield running


class Told:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started: list[tuple[str, int | None]] = []
        self.details: list[str] = []
        self.done_bytes = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, file: str, total_bytes: int | None) -> None:
        self.started.append((file, total_bytes))

    def at(self, done_bytes: int, detail: str = "") -> None:
        self.done_bytes = done_bytes
        self.details.append(detail)

    def end(self) -> None: ...


@pytest.fixture
def told() -> Told:
    return Told()
