"""A layer in float32 against the naive decoder, and what rounding it does to its output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.checkpoints import open_gguf
from stillhouse.models.rope import RopeTable
from stillhouse.quantize.folder_schemes import FolderScheme, folder_scheme
from stillhouse.quantize.folder_tensors import FolderTensors
from stillhouse.quantize.layer import attended, gated, multiplied, normed
from stillhouse.quantize.layer_rounding import Calibration, round_layer
from tests.factories import tiny_model
from tests.reference.decoder import logits

Floats = npt.NDArray[np.float32]
TOKENS = [5, 300, 17, 42, 42, 8]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_layers_compute_what_the_naive_decoder_does(tmp_path: Path, architecture: str) -> None:
    path = tiny_model(tmp_path / "m.gguf", architecture=architecture, encoding="F32")
    with open_gguf(path) as checkpoint:
        tensors = FolderTensors(checkpoint)
        config = tensors.config
        x = checkpoint.tensors["token_embd.weight"].decode()[TOKENS][np.newaxis]
        rope = RopeTable(config.rope, len(TOKENS))
        rope.reach(len(TOKENS) - 1)
        for number in range(config.num_layers):
            layer = tensors.layer(number)
            inner = normed(x, layer["attn_norm.weight"], config.rms_eps)
            inner = attended(inner, layer, config, rope.cosines, rope.sines)
            x = x + multiplied(inner, layer, "attn_output")
            inner = gated(normed(x, layer["ffn_norm.weight"], config.rms_eps), layer)
            x = x + multiplied(inner, layer, "ffn_down")
        x = normed(x, tensors.values("output_norm.weight"), config.rms_eps)
        found = x[0] @ tensors.values("output.weight").T
        np.testing.assert_allclose(found, logits(checkpoint, TOKENS, rounded=False), atol=2e-5)


def carried(
    layer: dict[str, Floats], tensors: FolderTensors, scheme: FolderScheme
) -> tuple[Floats, dict[str, Floats]]:
    """The rounded layer's output on inputs of which some columns are large, and its norms."""
    rng = np.random.default_rng(1)
    config, shape = tensors.config, (4, 64)
    hidden = rng.normal(0, 1, (*shape, config.hidden_size)).astype(np.float32)
    hidden[..., ::37] *= 20
    rope = RopeTable(config.rope, shape[1])
    rope.reach(shape[1] - 1)
    width = config.num_heads * config.head_dim
    data = Calibration(
        hidden,
        np.empty((*shape, width), np.float32),
        np.empty_like(hidden),
        rope.cosines,
        rope.sines,
    )
    _, others = round_layer(layer, data, config, scheme)
    return data.output - hidden, others


def distance(a: Floats, b: Floats) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_smoothing_leaves_a_layers_output_as_it_was(tmp_path: Path, architecture: str) -> None:
    path = tiny_model(tmp_path / "m.gguf", architecture=architecture, encoding="F32", layers=1)
    smooth = folder_scheme("w8a8")
    with open_gguf(path) as checkpoint:
        tensors = FolderTensors(checkpoint)
        layer = tensors.layer(0)
        plain, same = carried(dict(layer), tensors, replace(smooth, smoothing=()))
        smoothed, other = carried(dict(layer), tensors, smooth)
    np.testing.assert_array_equal(same["ffn_norm.weight"], layer["ffn_norm.weight"])
    assert distance(other["ffn_norm.weight"], layer["ffn_norm.weight"]) > 0.1
    # Both are off by the codes' rounding alone, a part in a hundred.
    assert distance(smoothed, plain) < 0.02


def test_more_bits_leave_the_output_nearer(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.gguf", architecture="llama", encoding="F32", layers=1)
    with open_gguf(path) as checkpoint:
        tensors = FolderTensors(checkpoint)
        layer = tensors.layer(0)
        four, _ = carried(dict(layer), tensors, folder_scheme("w4a16"))
        eight, _ = carried(dict(layer), tensors, replace(folder_scheme("w4a16"), bits=8))
    assert 0.01 < distance(four, eight) < 0.15
