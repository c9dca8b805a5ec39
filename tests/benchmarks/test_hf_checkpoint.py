"""What vLLM is given: the GGUF's own numbers, in its names and formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hf_checkpoint import Scheme, make_checkpoint

from stillhouse.checkpoints import open_gguf
from tests.factories import tiny_model

DTYPES = {"BF16": np.uint16, "I8": np.int8}


def read_safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays by name; bf16 comes as float32. The data must lie without gaps, to the file's end."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    assert header.pop("__metadata__") == {"format": "pt"}
    arrays, expected = {}, 0
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        assert first == expected
        expected = end
        array = np.frombuffer(data[start + first : start + end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = array.reshape(entry["shape"])
    assert start + expected == len(data)
    return arrays


def made(tmp_path: Path, scheme: Scheme) -> tuple[Path, dict[str, np.ndarray[Any, Any]]]:
    gguf = tiny_model(tmp_path / "tiny.gguf")
    make_checkpoint(gguf, tmp_path / scheme, scheme)
    return gguf, read_safetensors(tmp_path / scheme / "model.safetensors")


def test_bf16_holds_every_number_rounded_once(tmp_path: Path) -> None:
    gguf, arrays = made(tmp_path, "bf16")
    with open_gguf(gguf) as checkpoint:
        values = checkpoint.tensors["blk.1.ffn_down.weight"].decode()
        found = arrays["model.layers.1.mlp.down_proj.weight"]
        np.testing.assert_allclose(found, values, rtol=2**-8)
        bias = checkpoint.tensors["blk.0.attn_q.bias"].decode()
        np.testing.assert_allclose(arrays["model.layers.0.self_attn.q_proj.bias"], bias, rtol=2**-8)
        assert len(arrays) >= len(checkpoint.tensors)
    assert arrays["lm_head.weight"].shape == arrays["model.embed_tokens.weight"].shape


def test_w8a8_is_within_half_a_step_of_every_number(tmp_path: Path) -> None:
    gguf, arrays = made(tmp_path, "w8a8")
    name = "model.layers.0.self_attn.k_proj.weight"
    codes, scale = arrays[name], arrays[f"{name}_scale"]
    assert codes.dtype == np.int8
    assert scale.shape == (len(codes), 1)
    with open_gguf(gguf) as checkpoint:
        values = checkpoint.tensors["blk.0.attn_k.weight"].decode()
    # A scale rounded down to bf16 may leave the largest code a little short.
    slack = np.where(np.abs(codes) >= 127, 2**-8 * 128, 0)
    assert np.all(np.abs(codes * scale - values) <= (0.5 + slack) * scale * 1.001)
    assert arrays["lm_head.weight"].dtype == np.float32


def test_the_scheme_is_said_in_config_json(tmp_path: Path) -> None:
    for scheme, quantised in (("bf16", False), ("w8a8", True)):
        made(tmp_path, scheme)
        config = json.loads((tmp_path / scheme / "config.json").read_text())
        assert config["architectures"] == ["Qwen2ForCausalLM"]
        assert ("quantization_config" in config) is quantised


def test_a_whole_checkpoint_is_not_made_again(tmp_path: Path) -> None:
    gguf, _ = made(tmp_path, "bf16")
    weights = tmp_path / "bf16/model.safetensors"
    weights.write_bytes(b"kept")
    make_checkpoint(gguf, tmp_path / "bf16", "bf16")
    assert weights.read_bytes() == b"kept"


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    gguf = tiny_model(tmp_path / "tiny.gguf", architecture="llama")
    with pytest.raises(SystemExit, match="only qwen2"):
        make_checkpoint(gguf, tmp_path / "out", "bf16")
    assert not (tmp_path / "out/config.json").exists()
