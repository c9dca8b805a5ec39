"""What every part of the suite may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse import hub


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct Q4_1, a real model of 98 MB: pulled once into the user's own store."""
    return hub.resolve("smollm2:135m")
