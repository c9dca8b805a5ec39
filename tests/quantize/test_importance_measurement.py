"""What matrices are multiplied with, against the naive twin's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints import open_gguf
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.quantize.importance_measurement import measure_importance
from stillhouse.text import Tokenizer
from tests.factories import tiny_model
from tests.reference import decoder as reference

SHAPE: dict[str, Any] = {"heads": 6, "kv_heads": 2, "head_dim": 64}
TEXT = "the thing on the other end, " * 4
WINDOW = 20


@pytest.mark.parametrize(("architecture", "tied"), [("llama", True), ("qwen3", False)])
def test_every_matrix_has_the_mean_squares_of_the_naive_twins_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, tied: bool
) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    multiply = reference._Twin.multiply

    def watched(twin: reference._Twin, x: reference.Doubles, name: str) -> reference.Doubles:
        seen.setdefault(f"{name}.weight", []).append(x)
        return multiply(twin, x, name)

    monkeypatch.setattr(reference._Twin, "multiply", watched)
    path = tiny_model(
        tmp_path / "m.gguf", architecture=architecture, tied=tied, encoding="F32", **SHAPE
    )
    with open_gguf(path) as checkpoint:
        found = measure_importance(
            checkpoint, TEXT, name="t", threads=2, window=WINDOW, max_tokens=2 * WINDOW + 3
        )
        ids = Tokenizer.from_metadata(checkpoint.metadata).encode(TEXT)
        for first in (0, WINDOW):
            reference.logits(checkpoint, ids[first : first + WINDOW], rounded=True)
        config = ModelConfig.from_metadata(checkpoint.metadata, tied_embeddings=tied)
    assert (found.num_windows, found.window_tokens, found.texts) == (2, WINDOW, ("t",))
    assert len(found.inputs) == 7 * config.num_layers + 1
    assert found.inputs.keys() == seen.keys()
    for name, inputs in found.inputs.items():
        assert inputs.rows == 2 * WINDOW
        twin = (np.concatenate(seen[name]) ** 2).mean(axis=0)
        # The twin rounds keys and values to bf16 too, but for those that lie between two.
        assert np.linalg.norm(inputs.mean_squares - twin) < 1e-3 * np.linalg.norm(twin), name


def test_activations_that_are_not_finite_are_named(tmp_path: Path) -> None:
    endless = {"blk.1.ffn_norm.weight": np.full(256, np.inf, np.float32)}
    path = tiny_model(tmp_path / "m.gguf", encoding="F32", extra_tensors=endless, **SHAPE)
    with (
        open_gguf(path) as checkpoint,
        pytest.raises(BadCheckpoint, match=r"what blk\.1\.ffn_gate\.weight is multiplied with"),
        np.errstate(all="ignore"),
    ):
        measure_importance(checkpoint, TEXT, name="t", threads=1, window=WINDOW)
