"""`still quantize` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from stillhouse.checkpoints import open_gguf
from stillhouse.cli.quantize import quantize
from stillhouse.errors import UsageError
from stillhouse.quantize import pipeline
from tests.factories import tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "a.gguf", encoding="F32")


def test_a_file_is_written_and_summed_up_in_two_lines(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.gguf"
    quantize(str(model), target, recipe="q8_0")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{target}: ")
    assert first.endswith("bits per weight, Q8_0")
    assert " for 27 tensors, " in second
    assert target.exists()


def test_a_dry_run_writes_nothing_and_says_the_size(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.gguf"
    quantize(str(model), target, recipe="q8_0", dry_run=True)
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["format", "tensors", "size"]
    quantize(str(model), target, recipe="q8_0", dry_run=True, json=True)
    document = json.loads(capsys.readouterr().out)
    assert not target.exists()
    assert document["dry_run"] is True
    assert document["duration_s"] is None
    quantize(str(model), target, recipe="q8_0", json=True)
    written = json.loads(capsys.readouterr().out)
    assert written["file_bytes"] == document["file_bytes"] == target.stat().st_size
    assert written["formats"] == document["formats"]
    assert written["duration_s"] > 0


def test_ctrl_c_is_130_and_the_next_run_goes_on(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_SAVED_EVERY_BYTES", 1)
    target = tmp_path / "b.gguf"
    encode, calls = pipeline.encode_rows, iter(range(100))

    def stopped(*arguments: object, **options: object) -> object:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return encode(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "encode_rows", stopped)
        with pytest.raises(typer.Exit) as caught:
            quantize(str(model), target, recipe="q8_0")
    assert caught.value.exit_code == 130
    assert "goes on from here" in capsys.readouterr().err
    quantize(str(model), target, recipe="q8_0")
    assert "going on behind" in capsys.readouterr().err
    assert target.exists()


@pytest.mark.parametrize(
    ("recipe", "size", "message"),
    [
        ("dynamic", None, "needs a size"),
        ("q8_0", "1GB", "--size is for the dynamic recipe"),
        ("q9", None, "'q9' is no recipe"),
        ("w8a8", None, "w8a8 makes a folder, and .*b.gguf is the name of a GGUF file"),
        ("dynamic", "much", "'much' is not a size"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    model: Path, tmp_path: Path, recipe: str, size: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        quantize(str(model), tmp_path / "b.gguf", recipe=recipe, size=size)
    assert [file.name for file in tmp_path.iterdir()] == ["a.gguf"]


def test_a_dynamic_file_is_under_its_size(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "b.gguf"
    quantize(str(model), target, recipe="dynamic", size="1.2MB")
    assert target.stat().st_size <= 1_200_000
    assert "dynamic, at most 1.20 MB" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["text", "prompts"])
def test_importance_is_measured_on_the_way(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "t.txt").write_text("Why?\n" * 20)
    given: dict[str, Any] = {option: tmp_path / "t.txt"}
    target = tmp_path / "b.gguf"
    quantize(str(model), target, recipe="q4_0", sample_tokens=16, samples=2, **given)
    assert "importance from 2 pieces of 16 tokens of " in capsys.readouterr().err
    with open_gguf(target) as checkpoint:
        assert checkpoint.metadata["quantize.imatrix.chunks_count"] == 2
        assert str(checkpoint.metadata["quantize.imatrix.dataset"]).endswith("t.txt")
    plain = tmp_path / "c.gguf"
    quantize(str(model), plain, recipe="q4_0")
    with open_gguf(target) as one, open_gguf(plain) as other:
        name = "blk.0.ffn_up.weight"
        assert not np.array_equal(one.tensors[name].decode(), other.tensors[name].decode())


def test_importance_comes_from_one_place(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "x"
    with pytest.raises(UsageError, match="--text and --prompts are given"):
        quantize(str(model), tmp_path / "b.gguf", recipe="q4_0", text=file, prompts=file)
    with pytest.raises(UsageError, match="--imatrix and a text are given"):
        quantize(str(model), tmp_path / "b.gguf", recipe="q4_0", text=file, imatrix=file)


@pytest.mark.parametrize("option", ["imatrix", "size", "dry_run", "force", "threads"])
def test_an_option_of_gguf_files_is_refused_for_folders(
    model: Path, tmp_path: Path, option: str
) -> None:
    values: dict[str, Any] = {"imatrix": tmp_path / "x", "size": "1GB", "threads": 2}
    given = {option: values.get(option, True)}
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is of GGUF files"):
        quantize(str(model), tmp_path / "folder", recipe="FP8", **given)
