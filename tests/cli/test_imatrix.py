"""`still imatrix`: from a text, from the model's own replies, and from neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.quantize.imatrix_files import read_imatrix
from tests.cli.test_main import still
from tests.factories import tiny_model

SHAPE = {"heads": 6, "kv_heads": 2, "head_dim": 64}


@pytest.mark.parametrize("option", ["--text", "--prompts"])
def test_a_text_or_the_models_own_replies_give_a_matrix(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    option: str,
) -> None:
    model, written, text = tiny_model(tmp_path / "m.gguf", **SHAPE), tmp_path / "i.gguf", "Why?\n"
    (tmp_path / "t.txt").write_text(text * 20)
    words = ("imatrix", str(model), str(written), option, str(tmp_path / "t.txt"))
    assert still(monkeypatch, *words, "--window", "16", "--max-tokens", "4", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    matrix = read_imatrix(written)
    assert document["matrices"] == len(matrix.inputs) == 15
    assert document["text"]["tokens"] == matrix.num_windows * 16
    assert document["text"]["name"] in matrix.texts


def test_a_text_or_prompts_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still(monkeypatch, "imatrix", "m", "i.gguf") == 2
    assert "hint: give --text FILE or --prompts FILE" in capsys.readouterr().err
