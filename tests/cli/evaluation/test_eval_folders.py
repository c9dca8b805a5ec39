"""`still eval`: runs go on in their folder, and are shown beside others."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.cli.evaluation.commands import RIGHT, WRONG, words
from tests.cli.test_main import still
from tests.stub_server import Script, StubServer


def test_the_same_command_goes_on_and_asks_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--limit", "2")) == 0
        assert len(stub.asked) == 4
        assert still(monkeypatch, *words(stub, data)) == 0
        assert len(stub.asked) == 6
        capsys.readouterr()
        assert still(monkeypatch, *words(stub, data)) == 0
        assert len(stub.asked) == 6
        assert "6 of 6 samples were there already" in capsys.readouterr().err
        seeds = {asked.body["seed"] for asked in stub.asked}
    assert len(seeds) == 6


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_ctrl_c_keeps_what_is_whole_and_exits_with_130(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    data: Path,
) -> None:
    with StubServer(RIGHT, RIGHT, RIGHT, Script(fault="hang")) as stub:

        def interrupt() -> None:
            while len(stub.asked) < 4:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        assert still(monkeypatch, *words(stub, data, "--folder", str(tmp_path / "run"))) == 130
        thread.join()
    assert "incomplete: 3 of 6" in capsys.readouterr().out
    assert len((tmp_path / "run/vllm-stub/gsm8k.jsonl").read_bytes().splitlines()) == 3


def test_fewer_samples_show_a_part_of_what_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT, WRONG) as stub:
        assert still(monkeypatch, *words(stub, data, *folder)) == 0
        before = (tmp_path / "run/vllm-stub/gsm8k.jsonl").read_bytes()
        asked = len(stub.asked)
        capsys.readouterr()
        less = ("--limit", "2", "--samples", "1", "--json")
        assert still(monkeypatch, *words(stub, data, *folder, *less)) == 0
        assert len(stub.asked) == asked
    (result,) = json.loads(capsys.readouterr().out)["results"]
    found = result["tasks"]["gsm8k"]
    assert (found["questions"], found["samples"], found["right"]) == (2, 1, 1)
    assert result["duration_s"] is found["seconds_per_correct"] is None  # it is of six samples
    assert (tmp_path / "run/vllm-stub/gsm8k.jsonl").read_bytes() == before


def test_earlier_runs_stand_from_the_smallest_budget_to_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *folder)) == 0
        more = (*folder, "--thinking-budget", "128,32")
        assert still(monkeypatch, *words(stub, data, *more)) == 0
    capsys.readouterr()
    assert still(monkeypatch, "eval", "--with", str(tmp_path / "run"), "--json") == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [one["thinking_budget"] for one in results] == [32, 128, None]


def test_an_earlier_run_is_shown_beside_or_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    folder = str(tmp_path / "first")
    with StubServer(WRONG) as stub:
        assert still(monkeypatch, *words(stub, data, "--folder", folder)) == 0
    with StubServer(RIGHT, engine="llama.cpp") as stub:
        assert still(monkeypatch, *words(stub, data, "--with", folder)) == 0
    printed = capsys.readouterr().out
    assert "llama.cpp stub against vllm stub, gsm8k: " in printed
    assert "+100.0" in printed
    assert still(monkeypatch, "eval", "--with", folder) == 0
    assert "vllm stub: pass@1:2 0.0 %" in capsys.readouterr().out


def test_earlier_runs_of_one_label_are_numbered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    with StubServer(WRONG) as stub:
        assert still(monkeypatch, *words(stub, data, "--folder", first)) == 0
    capsys.readouterr()
    with StubServer(RIGHT) as stub:
        again = words(stub, data, "--folder", second, "--with", first, "--json")
        assert still(monkeypatch, *again) == 0
        document = json.loads(capsys.readouterr().out)
        labels = [one["label"] for one in document["results"]]
        assert labels == ["vllm stub (2)", "vllm stub"]
        assert document["comparisons"][0]["difference"] == 1.0
        own = words(stub, data, "--folder", second, "--with", second, "--json")
        assert still(monkeypatch, *own) == 0  # beside itself it is there once
        assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_problems_of_another_seed_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gym = ("--task", "gym:chain_sum", "--limit", "3", "--served-name", "stub")
    with StubServer(RIGHT) as stub:
        asked = ("eval", "--url", stub.url, *gym)
        assert still(monkeypatch, *asked, "--folder", str(tmp_path / "a"), "--seed", "1") == 0
        beside = ("--folder", str(tmp_path / "b"), "--with", str(tmp_path / "a"), "--json")
        capsys.readouterr()
        assert still(monkeypatch, *asked, *beside) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert comparison["verdict"] == "questions differ: not comparable"


def test_a_run_that_was_incomplete_is_not_called_so_once_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *folder, "--token-budget", "5")) == 1
        assert "is incomplete" in capsys.readouterr().out
        again = words(stub, data, *folder, "--with", str(tmp_path / "run"))
        assert still(monkeypatch, *again) == 0
    assert "is incomplete" not in capsys.readouterr().out


def test_a_part_of_its_own_folder_is_not_incomplete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *folder, "--token-budget", "8")) == 1
        capsys.readouterr()
        part = words(stub, data, *folder, "--limit", "1", "--with", str(tmp_path / "run"))
        assert still(monkeypatch, *part, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["results"]), document["warnings"]) == (1, [])


def test_a_refused_command_leaves_the_folder_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *folder, "--limit", "2")) == 0
        assert still(monkeypatch, *words(stub, data, *folder, "--temperature", "0.1")) == 2
        assert still(monkeypatch, *words(stub, data, *folder, "--limit", "2")) == 0
        assert len(stub.asked) == 4
