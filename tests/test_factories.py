"""The tiny models that other tests stand on are whole and what they say they are."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from stillhouse.checkpoints import open_gguf
from stillhouse.encodings import ENCODINGS, Encoding
from tests.factories import SPECIAL_TOKENS, byte_alphabet, tiny_model

MATRICES = [e for e in ENCODINGS if (e.is_float and e.name != "F64") or e.block_size > 1]


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "qwen3"])
def test_a_tiny_model_is_read_alike_by_the_gguf_package(architecture: str, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "tiny.gguf", architecture=architecture, encoding="Q4_1")
    peer = gguf.GGUFReader(path)
    with open_gguf(path) as checkpoint:
        assert list(checkpoint.tensors) == [tensor.name for tensor in peer.tensors]
        for theirs, ours in zip(peer.tensors, checkpoint.tensors.values(), strict=True):
            assert ours.shape == tuple(theirs.shape.tolist()[::-1])
            assert ours.raw.tobytes() == theirs.data.tobytes()
        tokens = peer.fields["tokenizer.ggml.tokens"].contents()
        assert checkpoint.metadata["tokenizer.ggml.tokens"] == tokens
        assert len(tokens) == 320


@pytest.mark.parametrize("encoding", MATRICES, ids=repr)
def test_weights_of_any_format_are_about_as_large_as_real_ones(
    encoding: Encoding, tmp_path: Path
) -> None:
    with open_gguf(tiny_model(tmp_path / "tiny.gguf", encoding=encoding.name)) as checkpoint:
        weights = checkpoint.tensors["blk.1.ffn_down.weight"]
        assert weights.encoding is encoding
        values = weights.decode()
        assert 0.015 < values.std() < 0.025
        assert abs(values.mean()) < 0.002


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    contents = [
        tiny_model(tmp_path / f"{i}", seed=seed).read_bytes() for i, seed in enumerate((3, 3, 4))
    ]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_tensors_can_be_replaced_mixed_and_tied(tmp_path: Path) -> None:
    path = tiny_model(
        tmp_path / "tiny.gguf",
        encoding="Q4_K",
        overrides={"attn_v.weight": "Q6_K"},
        tied=True,
        extra_tensors={"rope_freqs.weight": np.ones(32, np.float32)},
        extra_metadata={"qwen2.rope.freq_base": 5.0},
    )
    with open_gguf(path) as checkpoint:
        assert checkpoint.tensors["blk.0.attn_v.weight"].encoding.name == "Q6_K"
        assert checkpoint.tensors["blk.0.attn_q.weight"].encoding.name == "Q4_K"
        assert "output.weight" not in checkpoint.tensors
        assert checkpoint.tensors["rope_freqs.weight"].shape == (32,)
        assert checkpoint.metadata["qwen2.rope.freq_base"] == 5.0


def test_the_alphabet_gives_every_byte_one_visible_character() -> None:
    alphabet = byte_alphabet()
    assert len(set(alphabet)) == 256
    assert alphabet[ord("a")] == "a"
    assert alphabet[ord(" ")] == "Ġ"
    assert not set(alphabet) & set(SPECIAL_TOKENS)
