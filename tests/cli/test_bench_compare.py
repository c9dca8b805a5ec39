"""`still bench compare`: exit codes, one JSON document, and a name of two words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stillhouse.cli import main as command
from stillhouse.cli.bench_compare import bench_compare, parse_share
from stillhouse.cli.json_names import DOCUMENTS, EVERY_DOCUMENT
from stillhouse.errors import UsageError
from tests.bench import examples
from tests.bench.examples import cell


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """`a`, the same on `another` day, a `slow` one, and what is `broken`."""
    texts = {
        "a": examples.text(cell()),
        "another": examples.text(cell(seed=1)),
        "slow": examples.text(cell(seed=1, speed=0.8), cell(users=2)),
        "broken": b'{"command": "bench"',
    }
    paths = {name: tmp_path / f"{name}.json" for name in texts}
    for name, text in texts.items():
        paths[name].write_bytes(text)
    return paths


def still(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["still", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.mark.parametrize(("b", "code"), [("another", 0), ("slow", 1), ("broken", 2)])
def test_the_exit_code_is_the_verdict(
    runs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    b: str,
    code: int,
) -> None:
    assert still(monkeypatch, "bench", "compare", runs["a"], runs[b]) == code
    output = capsys.readouterr()
    if code == 2:
        assert output.out == ""
        error, hint = output.err.splitlines()
        assert error.startswith(f"error: {runs['broken']}: not whole JSON")
        assert hint.startswith("hint: ")


def test_the_table_is_aligned_and_ends_with_the_verdict(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert still(monkeypatch, "bench", "compare", runs["a"], runs["slow"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b" not in "".join(lines)
    head = next(line for line in lines if line.startswith("FIGURE"))
    row = next(line for line in lines if line.startswith("E2E p50"))
    assert head.index("VERDICT") == row.index("worse, by more than 5 %")
    assert any(line.startswith("only in B: ") for line in lines)
    assert lines[-1].endswith(" regressions")


def test_a_threshold_forgives(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("bench", "compare", runs["a"], runs["slow"], "--threshold", "50%")
    assert still(monkeypatch, *words) == 0
    assert "no regression by more than 50 % is shown" in capsys.readouterr().out


def test_json_is_one_document_with_the_documented_names(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert still(monkeypatch, "bench", "compare", runs["a"], runs["slow"], "--json") == 1
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert document.keys() == EVERY_DOCUMENT.keys() | DOCUMENTS["bench compare"].keys()
    assert document["command"] == "bench compare"
    assert document["is_regression"] is True
    assert document["a"]["path"] == str(runs["a"])
    assert document["only_in_b"][0]["users"] == 2
    (result,) = document["results"]
    figures = {figure["name"]: figure for figure in result["figures"]}
    assert figures["e2e_s.p50"]["low"] > 1.05


def test_markdown_is_printed_instead(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bench_compare(runs["a"], runs["another"], markdown=True)
    assert "| figure | A | B |" in capsys.readouterr().out
    with pytest.raises(UsageError):
        bench_compare(runs["a"], runs["another"], markdown=True, json=True)


def test_a_comparison_is_no_run(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_compare(runs["a"], runs["another"], json=True)
    path = tmp_path / "comparison.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    with pytest.raises(UsageError, match="of 'still bench compare', not of 'still bench'"):
        bench_compare(runs["a"], path)


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("2.5 %", 0.025), ("0.1", 0.1), ("0", 0)]
)
def test_a_share_is_a_percentage_or_a_fraction(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "100%", "-5%", "five", "", "1e-2", "nan", "5%%", "٥%"])
def test_what_is_no_share_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError):
        parse_share(text)


def test_help_names_both_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still(monkeypatch, "bench", "compare", "--help") == 0
    text = capsys.readouterr().out
    assert "bench compare [OPTIONS]" in text
    assert still(monkeypatch, "--help") == 0
    assert "  bench compare " in capsys.readouterr().out
