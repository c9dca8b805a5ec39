"""Model folders: names, files and settings; every mistake gives one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints import CompressedTensor, open_checkpoint, open_folder
from stillhouse.errors import BadCheckpoint, ModelNotFound
from tests.checkpoints.folders import CONFIG, random_tensors, safetensors_file, write_folder

INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("name", [".", "config.json", "model.safetensors"])
def test_a_folder_opens_by_itself_and_by_its_files(tmp_path: Path, name: str) -> None:
    tensors = random_tensors(CONFIG)
    write_folder(tmp_path / "Tiny-Llama")
    with open_checkpoint(tmp_path / "Tiny-Llama" / name) as checkpoint:
        assert checkpoint.metadata["general.name"] == "Tiny-Llama"
        assert checkpoint.metadata["general.architecture"] == "llama"
        assert checkpoint.file_bytes > sum(t.nbytes for t in tensors.values())
        for ours, theirs in (
            ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"),
            ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("output_norm.weight", "model.norm.weight"),
            ("output.weight", "lm_head.weight"),
        ):
            np.testing.assert_array_equal(checkpoint.tensors[ours].decode(), tensors[theirs])
        assert len(checkpoint.tensors) == len(tensors)


def split_in_two(folder: Path) -> dict[str, Any]:
    """A folder of two files; its index, not yet written."""
    tensors = random_tensors(CONFIG)
    names = sorted(tensors)
    write_folder(folder)
    (folder / "model.safetensors").unlink()
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, held in parts.items():
        (folder / file).write_bytes(safetensors_file({name: tensors[name] for name in held}))
    return {"weight_map": {name: file for file, held in parts.items() for name in held}}


def test_files_that_an_index_names_are_one_model(tmp_path: Path) -> None:
    index = split_in_two(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps(index))
    with open_folder(tmp_path) as checkpoint:
        assert len(checkpoint.tensors) == len(random_tensors(CONFIG))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_map": {}}, "no lm_head"),
        ({"model.norm.weight": "model-1.safetensors"}, "model.norm.weight"),
        ({"extra": "model-1.safetensors"}, "extra"),
        ({"model.norm.weight": "../model-2.safetensors"}, "no safetensors file beside"),
        ({"model.norm.weight": "model-3.safetensors"}, "no such file"),
        ({"model.norm.weight": 3}, "not a string"),
    ],
)
def test_an_index_that_lies_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    index = split_in_two(tmp_path)
    index["weight_map"] = index["weight_map"] | change if "weight_map" not in change else {}
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises((BadCheckpoint, ModelNotFound), match=message):
        open_folder(tmp_path)


def test_two_files_without_an_index_are_refused(tmp_path: Path) -> None:
    split_in_two(tmp_path)
    with pytest.raises(BadCheckpoint, match="2 safetensors files"):
        open_folder(tmp_path)


def test_a_folder_without_its_files_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        open_folder(tmp_path)
    write_folder(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="no safetensors file"):
        open_folder(tmp_path)


def test_a_tied_head_is_the_embeddings_whatever_the_file_holds(tmp_path: Path) -> None:
    with open_folder(write_folder(tmp_path, config={**CONFIG, "tie_word_embeddings": True})) as c:
        assert "output.weight" not in c.tensors


def test_a_head_that_is_neither_there_nor_tied_is_refused(tmp_path: Path) -> None:
    tensors = random_tensors(CONFIG)
    del tensors["lm_head.weight"]
    with pytest.raises(BadCheckpoint, match="lm_head"):
        open_folder(write_folder(tmp_path, tensors=tensors))


@pytest.mark.parametrize(
    "name", ["model.layers.0.mlp.experts.0.up_proj.weight", "vision.weight", "a", ""]
)
def test_a_tensor_that_no_architecture_has_is_refused(tmp_path: Path, name: str) -> None:
    tensors = random_tensors(CONFIG) | {name: np.ones(3, np.float32)}
    with pytest.raises(BadCheckpoint, match="architecture does not have"):
        open_folder(write_folder(tmp_path, tensors=tensors))


def test_angles_and_cache_scales_are_left_out(tmp_path: Path) -> None:
    prefix = "model.layers.0.self_attn."
    extra = {prefix + name: np.ones(1, np.float32) for name in ("rotary_emb.inv_freq", "k_scale")}
    with open_folder(write_folder(tmp_path, tensors=random_tensors(CONFIG) | extra)) as checkpoint:
        assert len(checkpoint.tensors) == len(random_tensors(CONFIG))


def test_scales_that_the_config_does_not_explain_are_refused(tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight_scale"
    tensors = random_tensors(CONFIG) | {name: np.ones((128, 1), np.float32)}
    with pytest.raises(BadCheckpoint, match="does not say how"):
        open_folder(write_folder(tmp_path, tensors=tensors))


UP = "model.layers.0.mlp.up_proj."
W4 = {
    "quantization_config": {
        "format": "pack-quantized",
        "config_groups": {
            "g": {
                "targets": ["re:.*up_proj"],
                "weights": {
                    "num_bits": 4,
                    "strategy": "group",
                    "group_size": 32,
                    "symmetric": False,
                },
            }
        },
    }
}


def packed_up(**changes: Any) -> dict[str, Any]:
    """All tensors, with an up projection of 128 x 64 in four bits; None takes a part away."""
    rng = np.random.default_rng(1)
    parts: dict[str, Any] = {
        "weight_packed": rng.integers(-(2**31), 2**31, (128, 8)).astype(np.int32),
        "weight_scale": rng.uniform(0.01, 0.02, (128, 2)).astype(np.float32),
        "weight_zero_point": rng.integers(-8, 8, (128, 2)).astype(np.int8),
        "weight_shape": np.array([128, 64]),
    }
    tensors = random_tensors(CONFIG)
    del tensors[UP + "weight"]
    parts |= changes
    return tensors | {UP + name: part for name, part in parts.items() if part is not None}


def test_words_are_unpacked_low_bits_first(tmp_path: Path) -> None:
    tensors = packed_up()
    with open_folder(write_folder(tmp_path, config=CONFIG | W4, tensors=tensors)) as checkpoint:
        up = checkpoint.tensors["blk.0.ffn_up.weight"]
        assert isinstance(up, CompressedTensor)
        assert up.format_name == "INT4 group 32"
        assert up.num_bytes == 128 * 8 * 4 + 128 * 2 * 4 + 128 * 2
        row, column = 77, 43
        word = int(tensors[UP + "weight_packed"].view(np.uint32)[row, column // 8])
        code = (word >> 4 * (column % 8) & 15) - 8
        zero = int(tensors[UP + "weight_zero_point"][row, column // 32])
        scale = tensors[UP + "weight_scale"][row, column // 32]
        assert up.decode()[row, column] == np.float32(code - zero) * scale


def test_columns_in_another_order_take_their_own_groups_scale(tmp_path: Path) -> None:
    order = np.random.default_rng(2).permutation(np.arange(64) // 32).astype(np.int32)
    tensors = packed_up(weight_g_idx=order)
    with open_folder(write_folder(tmp_path / "a", config=CONFIG | W4, tensors=tensors)) as c:
        mixed = c.tensors["blk.0.ffn_up.weight"].decode()
        up = c.tensors["blk.0.ffn_up.weight"]
        assert isinstance(up, CompressedTensor)
        codes, scales, zeros = up.rows(0, 128)
    assert zeros is not None
    twin = (codes - zeros[:, order]).astype(np.float32) * scales[:, order]
    np.testing.assert_array_equal(mixed, twin)


@pytest.mark.parametrize("order", [np.full(64, -1), np.arange(64) // 32], ids=["unset", "in order"])
def test_an_order_that_changes_nothing_is_none(tmp_path: Path, order: Any) -> None:
    tensors = packed_up(weight_g_idx=order.astype(np.int32))
    with open_folder(write_folder(tmp_path, config=CONFIG | W4, tensors=tensors)) as checkpoint:
        up = checkpoint.tensors["blk.0.ffn_up.weight"]
        assert isinstance(up, CompressedTensor)
        assert up.group_of_column is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_scale": None}, "no weight_scale"),
        ({"weight_packed": None}, "no weight_packed"),
        ({"weight_zero_point": None}, "no weight_zero_point"),
        ({"weight_shape": None}, "no weight_shape"),
        ({"weight_shape": np.array([128, 65])}, "128 x 65"),
        ({"weight_shape": np.array([127, 64])}, "127 x 64"),
        ({"weight_shape": np.array([128, -8])}, "128 x -8"),
        ({"weight_shape": np.array([128])}, "two whole numbers"),
        ({"weight_scale": np.ones((128, 3), np.float32)}, "256 floats"),
        ({"weight_scale": np.ones((128, 2), np.int8)}, "256 floats"),
        ({"weight_zero_point": np.ones((128, 1), np.int8)}, "256 zero points"),
        ({"weight_packed": np.ones((128, 8), np.int8)}, "INT4 group 32 weights are I32"),
        ({"weight_g_idx": np.full(64, 2, np.int32)}, "groups 2 to 2 of 2"),
        ({"weight_g_idx": np.zeros(63, np.int32)}, "not I32"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = write_folder(tmp_path, config=CONFIG | W4, tensors=packed_up(**changes))
    with pytest.raises(BadCheckpoint, match=message) as caught:
        open_folder(folder)
    assert caught.value.message.isprintable()


def test_zero_points_packed_along_the_rows_are_those_beside_them(tmp_path: Path) -> None:
    zeros = packed_up()[UP + "weight_zero_point"]
    lanes = (zeros.astype(np.int64) + 8).reshape(16, 8, 2)  # eight rows to a word
    words = (lanes << 4 * np.arange(8)[:, np.newaxis]).sum(axis=1).astype(np.uint32)
    decoded = []
    for number, stored in enumerate((zeros, words.view(np.int32))):
        tensors = packed_up(weight_zero_point=stored)
        folder = write_folder(tmp_path / str(number), config=CONFIG | W4, tensors=tensors)
        with open_folder(folder) as checkpoint:
            decoded.append(checkpoint.tensors["blk.0.ffn_up.weight"].decode())
    np.testing.assert_array_equal(*decoded)
