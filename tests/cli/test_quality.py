"""`still quality`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_main import still
from tests.factories import tiny_model

SHORT = ("--window", "24", "--tokens", "48")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Spiders have eight legs, and insects have six. " * 8)
    return path


def test_a_model_is_its_own_equal_in_the_document_the_page_and_the_table(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: Path,
    smollm2_path: Path,
) -> None:
    page, markdown = tmp_path / "q.html", tmp_path / "q.md"
    words = ("quality", str(smollm2_path), str(smollm2_path), "--text", str(text), *SHORT)
    assert (
        still(monkeypatch, *words, "--json", "--html", str(page), "--markdown", str(markdown)) == 0
    )
    document = json.loads(capsys.readouterr().out)
    (result,) = document["results"]
    assert document["model"] == str(smollm2_path)
    assert document["text"]["scored_tokens"] == result["tokens"] == 22
    assert result["kl"] == {"value": 0.0, "error": 0.0}
    assert result["same_top"]["value"] == 1.0
    assert result["bits_per_weight"] == document["source"]["bits_per_weight"]
    assert result["decode_tokens_per_s"] is None
    assert "tensors" not in result
    for shown in (markdown.read_text(), page.read_text()):
        assert smollm2_path.name in shown


def test_the_table_names_the_matrices_that_lost_most(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: Path
) -> None:
    shape = {"heads": 6, "kv_heads": 2, "head_dim": 64}
    source = tiny_model(tmp_path / "source.gguf", encoding="F32", **shape)
    other = tiny_model(tmp_path / "other.gguf", overrides={"blk.1.attn_v.weight": "Q4_0"}, **shape)
    words = ("quality", str(source), str(other), "--text", str(text), *SHORT, "--tensors")
    assert still(monkeypatch, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("22 predictions, of the second half of each 24 tokens of text.txt")
    assert [line.split()[0] for line in lines[2:5]] == ["MODEL", "source.gguf", "other.gguf"]
    named = lines.index("other.gguf, the matrices that lost most:")
    assert lines[named + 2].split()[:2] == ["blk.1.attn_v.weight", "Q4_0"]


def test_a_text_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still(monkeypatch, "quality", "a", "b") == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert message == "error: quality is measured on a text, and none is given"
    assert hint.startswith("hint: --text FILE")


def test_a_page_that_has_no_folder_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: Path
) -> None:
    words = ("quality", "a", "b", "--text", str(text), "--html", str(text.parent / "no/q.html"))
    assert still(monkeypatch, *words) == 2
    assert "no/q.html: there is no such folder" in capsys.readouterr().err


def test_models_of_other_vocabularies_are_refused_before_any_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: Path,
) -> None:
    a, b = (tiny_model(tmp_path / f"{n}.gguf", vocab=n) for n in (320, 336))
    assert still(monkeypatch, "quality", str(a), str(b), "--text", str(text), *SHORT) == 2
    assert "error: 336.gguf knows 336 tokens, 320.gguf 320" in capsys.readouterr().err
