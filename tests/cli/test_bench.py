"""`still bench`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stillhouse.bench.document import read_document
from tests.cli.test_main import still
from tests.stub_server import Script, StubServer

GOOD = Script(usage={"prompt_tokens": 9, "completion_tokens": 2})
NATURAL = ("--natural", "--users", "1", "--served-name", "stub")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("How many legs has a spider?\n")
    return path


def test_the_table_the_document_and_the_page_say_the_same(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    prompts: Path,
) -> None:
    saved, page, markdown = (tmp_path / f"bench.{kind}" for kind in ("json", "html", "md"))
    files = ("--save", str(saved), "--html", str(page), "--markdown", str(markdown))
    with StubServer(GOOD) as stub:
        words = ("bench", "--url", stub.url, *NATURAL, "--prompts", str(prompts), *files)
        assert still(monkeypatch, *words) == 0
    printed = capsys.readouterr().out
    (cell,) = read_document(saved).results
    assert (cell.requests, cell.errors, cell.engine) == (4, 0, "vllm")
    assert "workload short (prompts of natural length, outputs of natural length)" in printed
    for text in (printed, markdown.read_text(), page.read_text()):
        assert "vllm" in text


def test_json_is_one_document_with_every_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prompts: Path
) -> None:
    with StubServer(GOOD) as stub:
        words = ("bench", "--url", stub.url, *NATURAL, "--prompts", str(prompts), "--json")
        assert still(monkeypatch, *words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "bench"
    assert document["slo"] == {"ttft_s": 5.0, "tpot_s": 0.2}
    assert document["results"][0]["users"] == 1


@pytest.mark.parametrize("option", ["--save", "--html", "--markdown"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    prompts: Path,
    option: str,
) -> None:
    with StubServer(GOOD) as stub:
        words = ("bench", "--url", stub.url, *NATURAL, "--prompts", str(prompts))
        assert still(monkeypatch, *words, option, str(tmp_path / "none" / "file")) == 2
        assert stub.asked == []
    assert "it has no folder" in capsys.readouterr().err


def test_what_was_measured_before_a_server_that_is_none_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prompts: Path
) -> None:
    with StubServer(GOOD) as stub:
        urls = ("--url", stub.url, "--url", "http://127.0.0.1:9")
        assert still(monkeypatch, "bench", *urls, *NATURAL, "--prompts", str(prompts)) == 2
    output = capsys.readouterr()
    assert "vllm" in output.out
    assert "127.0.0.1:9" in output.err


def test_failed_requests_are_exit_1(monkeypatch: pytest.MonkeyPatch, prompts: Path) -> None:
    with StubServer(GOOD, GOOD, Script(status=503, body=b"busy")) as stub:
        words = ("bench", "--url", stub.url, *NATURAL, "--prompts", str(prompts))
        assert still(monkeypatch, *words) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "nothing to measure"),
        (("--url", "http://127.0.0.1:9"), "cannot be reached"),
        (("--url", "nowhere"), "is no URL"),
        (("m", "--users", "0,4"), "'0,4' is no list for --users"),
        (("m", "--users", "4,4"), "'4,4' is no list for --users"),
        (("m", "--rate", "x"), "'x' is no list for --rate"),
        (("m", "--workload", "gaming"), "there is no workload 'gaming'"),
        (("m", "--workload", "all", "--prompt-tokens", "9"), "would all have the same length"),
        (("m", "--served", "n"), "1 models are said to be served, by 0 servers"),
        (("m", "--slo", "fast"), "'fast' is no promise"),
        (("no-such-model",), "no-such-model"),
    ],
)
def test_a_mistake_is_two_lines_and_exit_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    complaint: str,
) -> None:
    assert still(monkeypatch, "bench", *words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    error, hint = output.err.splitlines()
    assert complaint in error
    assert hint.startswith("hint: ")


def test_ctrl_c_prints_what_was_measured_and_is_exit_130(prompts: Path, tmp_path: Path) -> None:
    saved = tmp_path / "bench.json"
    with StubServer(GOOD, GOOD, GOOD, GOOD, Script(fault="hang")) as stub:
        command = [
            sys.executable, "-m", "stillhouse.cli.main", "bench", "--url", stub.url, *NATURAL,
            "--requests", "9", "--prompts", str(prompts), "--save", str(saved),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while len(stub.asked) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=30)
    assert process.returncode == 130, told.decode()
    assert b"Traceback" not in told
    assert b"vllm" in printed
    (cell,) = read_document(saved).results
    assert (cell.requests, cell.is_complete) == (3, False)
