"""What vLLM is given: the GGUF's own numbers, in its names and formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hf_checkpoint import Scheme, make_checkpoint

from stillhouse.checkpoints import CompressedTensor, open_folder, open_gguf
from tests.factories import tiny_model


@pytest.mark.parametrize(("scheme", "error"), [("bf16", 2**-8), ("w8a8", 0.02)])
def test_the_folder_holds_the_files_numbers(tmp_path: Path, scheme: Scheme, error: float) -> None:
    gguf = tiny_model(tmp_path / "tiny.gguf")
    make_checkpoint(gguf, tmp_path / scheme, scheme)
    config = json.loads((tmp_path / scheme / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert ("quantization_config" in config) is (scheme == "w8a8")
    with open_gguf(gguf) as source, open_folder(tmp_path / scheme) as made:
        assert made.tensors.keys() == source.tensors.keys()
        for name, tensor in source.tensors.items():
            found, values = made.tensors[name].decode(), tensor.decode()
            assert np.linalg.norm(found - values) <= error * np.linalg.norm(values)
        body = made.tensors["blk.1.ffn_down.weight"]
        assert isinstance(body, CompressedTensor) is (scheme == "w8a8")


def test_a_whole_checkpoint_is_not_made_again(tmp_path: Path) -> None:
    gguf = tiny_model(tmp_path / "tiny.gguf")
    make_checkpoint(gguf, tmp_path / "bf16", "bf16")
    weights = tmp_path / "bf16/model.safetensors"
    weights.write_bytes(b"kept")
    make_checkpoint(gguf, tmp_path / "bf16", "bf16")
    assert weights.read_bytes() == b"kept"
