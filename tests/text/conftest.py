"""Real vocabularies."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.checkpoints import Metadata, read_gguf_metadata
from stillhouse.text import Tokenizer
from tests import real_headers


@pytest.fixture(scope="session")
def smollm2_metadata(smollm2_path: Path) -> Metadata:
    return read_gguf_metadata(smollm2_path)


@pytest.fixture(scope="session")
def smollm2(smollm2_metadata: Metadata) -> Tokenizer:
    return Tokenizer.from_metadata(smollm2_metadata)


@pytest.fixture(scope="session")
def r1_metadata() -> Metadata:
    return read_gguf_metadata(real_headers.path_of(real_headers.R1_DISTILL_QWEN_7B))


@pytest.fixture(scope="session")
def r1(r1_metadata: Metadata) -> Tokenizer:
    return Tokenizer.from_metadata(r1_metadata)
