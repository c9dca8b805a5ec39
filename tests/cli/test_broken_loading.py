"""Ctrl-C while a model is being loaded."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.test_main import still


class Pressing:
    """Instead of the line of progress: presses Ctrl-C as soon as it is told of any."""

    calls = 0

    def __call__(self, *_: object) -> None:
        Pressing.calls += 1
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def pressing(monkeypatch: pytest.MonkeyPatch) -> None:
    Pressing.calls = 0
    for command in ("eval_run", "bench_run"):
        monkeypatch.setattr(f"stillhouse.cli.{command}.StageLine", Pressing)


@pytest.mark.usefixtures("pressing")
def test_an_evaluation_ends_at_once_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    smollm2_path: Path,
) -> None:
    words = ("eval", str(smollm2_path), "--task", "gym:chain_sum", "--limit", "1", "--json")
    assert still(monkeypatch, *words, "--folder", str(tmp_path)) == 130
    output = capsys.readouterr()
    assert Pressing.calls == 1
    assert json.loads(output.out)["results"] == []
    assert "stopping: what is whole is kept" in output.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("pressing")
def test_a_benchmark_ends_at_once_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], smollm2_path: Path
) -> None:
    assert still(monkeypatch, "bench", str(smollm2_path), "--users", "1") == 130
    output = capsys.readouterr()
    assert Pressing.calls == 1
    assert output.out == "nothing was measured\n"
    assert "stopping: what was measured follows" in output.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
