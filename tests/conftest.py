"""What every part of the suite may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from stillhouse import hub
from tests.speaker import Bench

# Nothing here is a timed test: an example may wait for whoever else uses the processor.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct Q4_1, a real model of 98 MB: pulled once into the user's own store."""
    return hub.resolve("smollm2:135m")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """LLMs that say what a test wants."""
    bench = Bench(tmp_path, monkeypatch)
    yield bench
    bench.close()
