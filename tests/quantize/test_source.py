"""Folders and GGUF files as sources: the model that comes out is the one that went in."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from stillhouse.checkpoints import (
    EncodedTensor,
    MetaValue,
    open_checkpoint,
    open_gguf,
    read_entries,
)
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.quantize.source import open_source
from stillhouse.text import ChatTemplate, Message, Tokenizer
from tests.checkpoints.folders import random_tensors, safetensors_file
from tests.factories import Packed, tiny_model, write_gguf
from tests.quantize.models import ARCHITECTURES, TOKENIZER, logits_of, quantized, tiny_folder

TOKENS = [7, 300, 12, 45, 45, 200]
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_as_gguf_has_the_same_logits(tmp_path: Path, architecture: str) -> None:
    folder = tiny_folder(tmp_path / "model", architecture)
    path = quantized(folder, tmp_path / "model.gguf", "f32")
    np.testing.assert_array_equal(logits_of(path, TOKENS), logits_of(folder, TOKENS))


@pytest.mark.parametrize("scaling", [LLAMA3, YARN, {"rope_type": "linear", "factor": 2.0}])
def test_scaled_rope_goes_over_as_gguf_says_it(tmp_path: Path, scaling: dict[str, object]) -> None:
    folder = tiny_folder(tmp_path / "model", rope_scaling=scaling)
    path = quantized(folder, tmp_path / "model.gguf", "f32")
    plain = logits_of(tiny_folder(tmp_path / "plain"), TOKENS)
    wanted = logits_of(folder, TOKENS)
    assert abs(wanted - plain).max() > 1e-3
    np.testing.assert_allclose(logits_of(path, TOKENS), wanted, atol=2e-5)
    with open_gguf(path) as checkpoint:
        assert ("rope_freqs.weight" in checkpoint.tensors) == (scaling is LLAMA3)


def test_a_tied_folder_stays_tied(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model", tie_word_embeddings=True)
    path = quantized(folder, tmp_path / "model.gguf", "f32")
    np.testing.assert_array_equal(logits_of(path, TOKENS), logits_of(folder, TOKENS))
    with open_gguf(path) as checkpoint:
        assert "output.weight" not in checkpoint.tensors


@pytest.mark.parametrize("name", ["w8a8", "w4a16", "fp8_block"])
def test_a_quantised_folder_is_decoded(tmp_path: Path, name: str) -> None:
    folder = TOKENIZER.parent / name
    path = quantized(folder, tmp_path / "model.gguf", "f32")
    tensor = "blk.0.ffn_down.weight"
    with open_checkpoint(folder) as before, open_gguf(path) as after:
        expected = before.tensors[tensor].decode()
        np.testing.assert_array_equal(after.tensors[tensor].decode(), expected)


def test_the_tokenizer_goes_over(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    path = quantized(folder, tmp_path / "model.gguf", "q8_0")
    texts = ["a cat", "Grüße 12345\n\n  it's", "<|im_start|>user"]
    answers = []
    for place in (folder, path):
        with open_checkpoint(place) as checkpoint:
            tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
            template = ChatTemplate.from_metadata(checkpoint.metadata, tokenizer)
            ids = [tokenizer.encode(text) for text in texts]
            prompt = template.render([Message("user", "a cat")])
            answers.append((ids, prompt, tokenizer.stop_ids))
    assert answers[0] == answers[1]
    with open_gguf(path) as checkpoint:
        assert checkpoint.metadata["tokenizer.ggml.pre"] == "smollm"


def test_a_tokenizer_that_gguf_has_no_name_for_is_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.raises(BadCheckpoint, match="has no name for"):
        open_source(folder)


def test_the_gguf_package_reads_a_converted_folder(tmp_path: Path) -> None:
    path = quantized(tiny_folder(tmp_path / "tiny-llama"), tmp_path / "m.gguf", "f16")
    reader = gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama"
    assert fields["general.name"] == "tiny-llama"
    assert fields["general.file_type"] == 1
    assert fields["llama.attention.head_count_kv"] == 2
    assert len(fields["tokenizer.ggml.tokens"]) == 384
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.1.attn_q.weight"] == "F16"
    assert kinds["blk.1.attn_norm.weight"] == "F32"


def test_a_gguf_files_metadata_stay_but_for_the_two_of_its_formats(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "a.gguf", extra_metadata={"my.count": 7, "general.file_type": 1})
    path = quantized(source, tmp_path / "b.gguf", "q8_0")
    before = [entry for entry in read_entries(source) if entry.key != "general.file_type"]
    after = read_entries(path)
    assert after[:-2] == before
    with open_gguf(path) as checkpoint:
        assert checkpoint.metadata["general.file_type"] == 7
        assert checkpoint.metadata["general.quantization_version"] == 2


def test_the_parts_of_a_split_file_become_one(tmp_path: Path) -> None:
    whole = tiny_model(tmp_path / "whole.gguf")
    with open_gguf(whole) as checkpoint:
        tensors = {
            name: Packed("Q8_0", tensor.raw) if tensor.format_name == "Q8_0" else tensor.decode()
            for name, tensor in checkpoint.tensors.items()
            if isinstance(tensor, EncodedTensor)
        }
        metadata = {key: _plain(value) for key, value in checkpoint.metadata.items()}
    part = write_gguf(tmp_path / "many.gguf", metadata, tensors, max_tensors_per_part=9)
    assert part.name == "many-00001-of-00003.gguf"
    one = quantized(part, tmp_path / "one.gguf", "q8_0")
    assert logits_of(one, TOKENS).tolist() == logits_of(whole, TOKENS).tolist()
    assert not [entry.key for entry in read_entries(one) if entry.key.startswith("split.")]


def _plain(value: MetaValue) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_tensors_lie_in_llama_cpps_order(tmp_path: Path) -> None:
    source = open_source(tiny_model(tmp_path / "a.gguf", layers=11, hidden=64, ffn=64, heads=2))
    source.checkpoint.close()
    layers = [name.split(".")[1] for name in source.tensors if name.startswith("blk.")]
    assert list(dict.fromkeys(layers)) == [str(layer) for layer in range(11)]
    names = list(source.tensors)
    assert names[:3] == ["output.weight", "output_norm.weight", "token_embd.weight"]
    assert names[3:] == sorted(names[3:], key=lambda name: (int(name.split(".")[1]), name))


def test_an_unknown_architecture_is_one_line(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "a.gguf", extra_metadata={"llama.expert_count": 4})
    with open_gguf(path) as checkpoint:
        assert ModelConfig.from_metadata(checkpoint.metadata)
    folder = tiny_folder(tmp_path / "model", "BertModel")
    with pytest.raises(BadCheckpoint, match="architecture 'BertModel' is not supported"):
        open_source(folder)


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    extra = {"blk.0.ffn_up.weight": np.zeros((32, 256), np.float32)}
    with pytest.raises(BadCheckpoint, match=r"blk\.0\.ffn_up\.weight is \(32, 256\)"):
        open_source(tiny_model(tmp_path / "a.gguf", extra_tensors=extra))


def test_weights_that_changed_are_another_source(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    first = open_source(folder)
    before = first.identity()
    first.checkpoint.close()
    config = json.loads((folder / "config.json").read_text()) | {"head_dim": 32}
    (folder / "model.safetensors").write_bytes(safetensors_file(random_tensors(config, seed=1)))
    second = open_source(folder)
    assert second.identity() != before
    second.checkpoint.close()
