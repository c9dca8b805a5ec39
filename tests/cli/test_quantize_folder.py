"""What `still quantize` says and does where the recipe makes a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.checkpoints import CompressedTensor, open_folder
from stillhouse.cli.quantize_folder import makes_folder, quantize_folder
from stillhouse.cli.quantize_text import TextOptions
from stillhouse.errors import UsageError
from tests.factories import tiny_model


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(tiny_model(tmp_path / "m.gguf", hidden=128, layers=1))


_NO_TEXT = TextOptions()


def test_the_names_of_recipe_and_target_say_what_is_made() -> None:
    assert makes_folder("w8a8", Path("out"))
    assert makes_folder("bf16", Path("out"))
    assert not makes_folder("bf16", Path("out.gguf"))
    assert not makes_folder("q4_k_m", Path("out"))


def test_a_folder_is_made_from_a_text_and_said_in_one_line(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jsonl").write_text(json.dumps({"a": "the thing in the rain " * 8}))
    options = TextOptions(tmp_path / "text.jsonl", samples=50, sample_tokens=32)
    quantize_folder(source, tmp_path / "out", "w4a16", options, group=64, json=False)
    said = capsys.readouterr()
    assert " pieces (of 50: it has no more) of 32 tokens of " in said.err
    assert said.out.startswith(f"{tmp_path / 'out'}: ")
    with open_folder(tmp_path / "out") as folder:
        assert isinstance(folder.tensors["blk.0.ffn_up.weight"], CompressedTensor)


def test_without_a_text_it_says_which_recipe_needs_none(tmp_path: Path, source: str) -> None:
    with pytest.raises(UsageError, match="w8a8 looks at what the model computes") as error:
        quantize_folder(source, tmp_path / "out", "w8a8", _NO_TEXT, group=None, json=False)
    assert error.value.hint == "give one with --text FILE, or take w8a8-rtn, which needs none"


def test_the_document_has_sizes_and_time(
    tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    quantize_folder(source, tmp_path / "out", "fp8", _NO_TEXT, group=None, json=True)
    document = json.loads(capsys.readouterr().out)
    weights = tmp_path / "out/model.safetensors"
    assert document["file_bytes"] == weights.stat().st_size
    assert document["recipe"] == "fp8"
    assert document["duration_s"] > 0
