"""`still plan` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.cli.json_names import DOCUMENTS
from stillhouse.cli.plan import PlannedKVTypeName, plan
from stillhouse.errors import ModelNotFound, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))


def test_a_table_and_one_recommendation_with_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan(device=["RTX 4090"])
    text = capsys.readouterr().out
    assert "RTX 4090 24GB: reads 1.01 TB/s" in text
    assert text.count("\nrecommended: ") == 1
    assert "r1-distill-qwen-32b" in text
    assert "does not fit" in text
    (marked,) = [line for line in text.splitlines() if line.startswith("*")]
    assert marked.split()[1] in text.partition("recommended: ")[2]


def test_the_arithmetic_is_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    plan("deepseek-r1:14b", device=["RTX 4090"], explain=True)
    text = capsys.readouterr().out
    assert "48 layers x 2 x 8 KV heads x 128 x 2 B (f16)" in text
    assert "at 1008 GB/s" in text
    assert "published scores x" in text


def test_one_model_on_several_systems_is_a_table_of_both(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan("deepseek-r1:7b", device=["RTX 4090", "M4 16GB"])
    text = capsys.readouterr().out
    assert "tok/s for each of 1" in text
    assert "Q4_K_M" in text
    assert "M4 16GB" in text


def test_json_has_the_documented_names(capsys: pytest.CaptureFixture[str]) -> None:
    plan(device=["2x RTX 3090"], users=4, json=True)
    document = json.loads(capsys.readouterr().out)
    names = DOCUMENTS["plan"].keys() - {"claim"}
    assert names <= document.keys()
    assert document["workload"]["users"] == 4
    assert document["recommendation"]["command"]
    best = document["options"][0]
    assert best["memory"]["parts"]
    assert best["decode_tokens_per_s"] > 0


def test_mistakes_are_one_line_with_a_hint() -> None:
    with pytest.raises(UsageError, match="RTX 9999") as unknown:
        plan(device=["RTX 9999"])
    assert unknown.value.hint
    with pytest.raises(ModelNotFound):
        plan("no-such-model", device=["RTX 4090"])
    with pytest.raises(UsageError, match="not q4_0"):
        plan(kv_type=PlannedKVTypeName.Q4_0)
    with pytest.raises(UsageError, match="131072"):
        plan("deepseek-r1:7b", device=["H100 SXM"], context=200_000)


def test_it_answers_with_nothing_but_the_standard_start(tmp_path: Path) -> None:
    """No engine, no server, no compiler is imported, and nothing is downloaded."""
    program = (
        "import sys; from stillhouse.cli.main import app\n"
        "try: app(['plan'])\n"
        "except SystemExit: pass\n"
        "loaded = {'numba', 'llvmlite', 'fastapi', 'httpx', 'tokenizers'} & set(sys.modules)\n"
        "print(sorted(loaded), file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "this machine: reads" in told.stdout
    assert told.stderr.strip().endswith("[]")


def test_html_is_written_as_one_file_with_the_whole_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "plan.html"
    plan("deepseek-r1:7b", device=["RTX 4090", "M4 16GB"], html=file)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(file) in captured.err
    text = file.read_text(encoding="utf-8")
    data = text.partition('type="application/json" id="document">')[2].partition("</script>")[0]
    document = json.loads(data)
    assert [system["name"] for system in document["devices"]] == ["RTX 4090 24GB", "M4 16GB"]
    assert {option["device"] for option in document["options"]} == {"RTX 4090 24GB", "M4 16GB"}
    assert document["machine"]["cpu"]
