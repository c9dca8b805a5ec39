"""Ctrl-C while a model is being loaded."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import still


class Pressing:
    """Instead of the line of progress: presses Ctrl-C at the beginning of the how-manieth load."""

    at_load = 1
    loads = calls_after = 0
    presses = 1

    def __call__(self, stage: str, done: int, total: int) -> None:
        if Pressing.loads == Pressing.at_load:
            Pressing.calls_after += 1
        if stage == "weights" and done < total and not self._goes_on:
            Pressing.loads += 1
            for _ in range(Pressing.presses if Pressing.loads == Pressing.at_load else 0):
                signal.raise_signal(signal.SIGINT)
        self._goes_on = stage == "weights" and done < total

    _goes_on = False


@pytest.fixture
def pressing(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in (("at_load", 1), ("loads", 0), ("calls_after", 0), ("presses", 1)):
        monkeypatch.setattr(Pressing, name, value)
    for command in ("eval_run", "bench_run"):
        monkeypatch.setattr(f"stillhouse.cli.{command}.StageLine", Pressing)
    yield Pressing
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def other_path(tmp_path: Path, smollm2_path: Path) -> Path:
    """The same model by another name."""
    path = tmp_path / "other.gguf"
    path.symlink_to(smollm2_path)
    return path


def evaluation(*models: Path, folder: Path) -> tuple[str, ...]:
    task = ("--task", "gym:chain_sum", "--limit", "1", "--max-tokens", "4", "--json")
    return ("eval", *map(str, models), *task, "--folder", str(folder))


def test_an_evaluation_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    smollm2_path: Path,
    pressing: type[Pressing],
) -> None:
    assert still(monkeypatch, *evaluation(smollm2_path, folder=tmp_path / "run")) == 130
    output = capsys.readouterr()
    assert (pressing.loads, pressing.calls_after) == (1, 0)
    assert json.loads(output.out)["results"] == []
    assert output.err.count("stopping: what is whole is kept") == 1


def test_what_an_earlier_model_said_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    smollm2_path: Path,
    other_path: Path,
    pressing: type[Pressing],
) -> None:
    pressing.at_load = 2
    words = evaluation(smollm2_path, other_path, folder=tmp_path / "run")
    assert still(monkeypatch, *words) == 130
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["label"].startswith("SmolLM2")
    assert result["tasks"]["gym:chain_sum"]["samples"] == 1


def test_a_benchmark_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    smollm2_path: Path,
    pressing: type[Pressing],
) -> None:
    assert still(monkeypatch, "bench", str(smollm2_path), "--users", "1") == 130
    output = capsys.readouterr()
    assert (pressing.loads, pressing.calls_after) == (1, 0)
    assert output.out == "nothing was measured\n"
    assert output.err.count("stopping: what was measured follows") == 1


def test_the_second_ctrl_c_interrupts_as_ever(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    smollm2_path: Path,
    pressing: type[Pressing],
) -> None:
    pressing.presses = 2
    assert still(monkeypatch, "bench", str(smollm2_path), "--users", "1") == 130
    assert "nothing was measured" not in capsys.readouterr().out
