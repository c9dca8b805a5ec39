"""Packing a checkpoint's tensors: what is missing, misshapen or unusual."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints import Checkpoint, open_gguf
from stillhouse.errors import BadCheckpoint
from stillhouse.models.batch import Batch
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from tests.factories import tiny_model
from tests.reference.decoder import logits


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoint]:
    path = tmp_path_factory.mktemp("weights") / "m.gguf"
    with open_gguf(tiny_model(path, encoding="F32")) as checkpoint:
        yield checkpoint


@pytest.mark.parametrize(
    "name",
    ["blk.1.ffn_up.weight", "blk.0.attn_norm.weight", "blk.0.attn_k.bias", "token_embd.weight"],
)
def test_a_missing_tensor_is_named(whole: Checkpoint, name: str) -> None:
    tensors = {n: tensor for n, tensor in whole.tensors.items() if n != name}
    with pytest.raises(BadCheckpoint, match=f"no tensor {name}"):
        load_model(Checkpoint(whole.metadata, tensors, []), threads=1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.1.ffn_up.weight", (256, 512)),
        ("blk.0.attn_norm.weight", (255,)),
        ("blk.0.attn_v.bias", (64,)),
        ("blk.0.attn_q.weight", (256, 256, 1)),
        ("output.weight", (319, 256)),
        ("token_embd.weight", (320, 128)),
        ("rope_freqs.weight", (16,)),
    ],
)
def test_a_tensor_of_another_shape_is_named(
    whole: Checkpoint, name: str, shape: tuple[int, ...]
) -> None:
    tensor = whole.tensors.get(name, whole.tensors["output_norm.weight"])
    tensors = {**whole.tensors, name: dataclasses.replace(tensor, name=name, shape=shape)}
    with pytest.raises(BadCheckpoint, match=name):
        load_model(Checkpoint(whole.metadata, tensors, []), threads=1)


@pytest.mark.parametrize("shape", [{"ffn": 520}, {"hidden": 272}, {"head_dim": 80}], ids=str)
def test_shapes_that_the_kernels_cannot_walk_are_refused(
    tmp_path: Path, shape: dict[str, int]
) -> None:
    path = tiny_model(tmp_path / "m.gguf", encoding="F32", **({"head_dim": 64} | shape))
    with open_gguf(path) as checkpoint, pytest.raises(BadCheckpoint, match="by 32"):
        load_model(checkpoint, threads=1)


def test_progress_counts_all_bytes_and_then_all_kernels(whole: Checkpoint) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        seen.setdefault(stage, []).append((done, total))

    load_model(whole, threads=1, progress=progress).close()
    assert list(seen) == ["weights", "kernels"]
    for steps in seen.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


def test_numbers_without_a_kernel_are_kept_as_f32_with_their_rows_in_order(tmp_path: Path) -> None:
    """A llama's queries and keys go through a change of order on their way into the kernels."""
    rng = np.random.default_rng(0)
    replaced: dict[str, Any] = {
        "blk.0.attn_q.weight": rng.normal(0, 0.02, (384, 256)),
        "blk.1.attn_k.weight": rng.integers(-1, 2, (128, 256)).astype(np.int8),
    }
    path = tiny_model(
        tmp_path / "m.gguf", architecture="llama", encoding="F32", heads=6, kv_heads=2,
        head_dim=64, extra_tensors=replaced,
    )  # fmt: skip
    tokens = np.arange(20, dtype=np.int32)
    with open_gguf(path) as checkpoint:
        assert checkpoint.tensors["blk.0.attn_q.weight"].encoding.name == "F64"
        assert checkpoint.tensors["blk.1.attn_k.weight"].encoding.name == "I8"
        model = load_model(checkpoint, threads=1)
        batch = Batch(tokens, tokens, 0 * tokens, np.zeros((1, 1), np.int32), tokens)
        result = model.forward(batch, KVCache(model.config, 1, "bf16")).copy()
        model.close()
        twin = logits(checkpoint, tokens.tolist(), rounded=True)
    assert np.linalg.norm(result - twin) < 3e-4 * np.linalg.norm(twin)
