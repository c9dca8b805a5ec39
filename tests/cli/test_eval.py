"""`still eval`: what it prints, writes, keeps and exits with."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from stillhouse.cli.json_names import DOCUMENTS, EVERY_DOCUMENT
from tests.cli.test_main import still
from tests.stub_server import Script, StubServer

USAGE = {"prompt_tokens": 9, "completion_tokens": 2}
RIGHT = Script(answer=("It has ", "\\boxed{8}", " legs."), usage=USAGE)
WRONG = Script(answer=("It has ", "\\boxed{6}", " legs."), usage=USAGE)
MUTE = Script(answer=("I do not", " know."), usage=USAGE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "legs.jsonl"
    rows = [{"question": f"Legs of spider {n}?", "answer": "So it is.\n#### 8"} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where default folders are made."""
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def words(stub: StubServer, data: Path, *more: str) -> tuple[str, ...]:
    asked = ("--task", "gsm8k", "--data", str(data), "--served-name", "stub")
    return ("eval", "--url", stub.url, *asked, "--samples", "2", "--concurrency", "1", *more)


def test_the_tables_the_document_and_the_page_say_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    saved, page, markdown = (tmp_path / f"eval.{kind}" for kind in ("json", "html", "md"))
    files = ("--save", str(saved), "--html", str(page), "--markdown", str(markdown))
    with StubServer(RIGHT, RIGHT, WRONG, RIGHT, MUTE) as stub:
        assert still(monkeypatch, *words(stub, data, *files)) == 0
    printed = capsys.readouterr().out
    document = json.loads(saved.read_text())
    (result,) = document["results"]
    found = result["tasks"]["gsm8k"]
    assert (found["questions"], found["samples"], found["pass@1"]) == (3, 2, 0.5)
    assert (found["right"], found["wrong"], found["no_answer"]) == (3, 1, 2)
    assert (result["label"], result["engine"], result["url"]) == ("vllm stub", "vllm", stub.url)
    assert document["folder"].startswith(str(tmp_path / "home" / "evals" / "gsm8k"))
    for text in (printed, markdown.read_text(), page.read_text()):
        assert "vllm stub" in text
        assert "Please reason step by step" in text
    assert "pass@1:2 50.0 %" in printed
    assert "It has \\\\boxed{6} legs." in page.read_text()


def test_markdown_shows_marks_of_its_own_as_they_were_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    markdown = tmp_path / "eval.md"
    words = ("eval", "--task", "gym:chain_sum", "--limit", "1", "--samples", "1")
    with StubServer(Script(answer=("<answer>1</answer>",), usage=USAGE)) as stub:
        served = ("--url", stub.url, "--served-name", "stub", "--markdown", str(markdown))
        assert still(monkeypatch, *words, *served) == 0
    assert "&lt;answer>" in markdown.read_text()
    assert "<answer>" not in markdown.read_text()


def test_json_is_one_document_with_documented_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--json", "--limit", "1")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == EVERY_DOCUMENT.keys() | DOCUMENTS["eval"].keys()


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


def test_a_spent_token_budget_is_told_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--token-budget", "5")) == 1
        assert len(stub.asked) == 3  # of two tokens each
    printed = capsys.readouterr().out
    assert "incomplete: 3 of 6 samples are there; only the 1 of 3 questions" in printed
    assert "pass@1:2 100.0 %" in printed


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


def test_budgets_are_results_of_their_own_and_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    more = ("--thinking-budget", "16,64", "--json")
    with StubServer(*[WRONG] * 6, RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *more)) == 0
        budgets = [asked.body["thinking_token_budget"] for asked in stub.asked]
    assert budgets == [16] * 6 + [64] * 6
    document = json.loads(capsys.readouterr().out)
    assert [one["thinking_budget"] for one in document["results"]] == [16, 64]
    (comparison,) = document["comparisons"]
    labels = ["vllm stub, 16 tokens of thought", "vllm stub, 64 tokens of thought"]
    assert [comparison["a"], comparison["b"]] == labels
    assert comparison["difference"] == 1.0


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


def test_what_is_whole_is_reported_though_another_model_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    refused = Script(status=400, body=b'{"error": {"message": "no such seed", "param": "seed"}}')
    saved = tmp_path / "eval.json"
    with StubServer(RIGHT) as stub, StubServer(refused, engine="llama.cpp") as other:
        more = ("--url", other.url, "--save", str(saved), "--baseline", "llama.cpp stub")
        assert still(monkeypatch, *words(stub, data, *more)) == 2
    printed = capsys.readouterr()
    assert "vllm stub: pass@1:2 100.0 %" in printed.out
    assert "no such seed" in printed.err
    assert [one["label"] for one in json.loads(saved.read_text())["results"]] == ["vllm stub"]


def test_a_baseline_that_is_not_there_costs_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--baseline", "Q8_0")) == 2
    printed = capsys.readouterr()
    assert "vllm stub: pass@1:2 100.0 %" in printed.out
    assert "there is no result 'Q8_0' to compare with" in printed.err


def test_a_server_that_is_not_there_is_found_before_another_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--url", "http://127.0.0.1:9")) == 2
        assert not stub.asked
    assert "cannot be reached" in capsys.readouterr().err


def test_a_refused_command_leaves_the_folder_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    folder = ("--folder", str(tmp_path / "run"))
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, *folder, "--limit", "2")) == 0
        assert still(monkeypatch, *words(stub, data, *folder, "--temperature", "0.1")) == 2
        assert still(monkeypatch, *words(stub, data, *folder, "--limit", "2")) == 0
        assert len(stub.asked) == 4


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--task", "gsm8k"), "nothing to evaluate"),
        (("--url", "http://127.0.0.1:9"), "no task to evaluate at"),
        (("m", "--task", "gsm9k"), "no task is called 'gsm9k'"),
        (("m", "--task", "aime24,gsm8k", "--data", "x.jsonl"), "file for one task, and 2"),
        (("m", "--task", "gsm8k", "--shots-data", "x.jsonl"), "file for one task, and 0"),
        (("m", "--task", "gsm8k", "--thinking-budget", "9,9"), "'9,9' is no list"),
        (("m", "--task", "gsm8k", "--served", "n"), "1 models are said to be served"),
        (("--with", "."), "holds no run of 'still eval'"),
        (("m", "--task", "gsm8k", "--html", "no/such/eval.html"), "it has no folder no/such"),
        (("m", "--task", "gsm8k", "--save", "."), "it is a folder"),
        (("m", "m", "--task", "gsm8k"), "'m' is named twice"),
        (("--url", "http://a", "--url", "http://a", "--task", "gsm8k"), "is given twice"),
        (("m", "--task", "openllm_mmlu", "--think"), "no thought to open or to limit"),
        (("m", "--task", "openllm", "--thinking-budget", "64"), "no thought to open or to limit"),
        (("no-such-model", "--task", "gsm8k", "--data", "legs.jsonl"), "no-such-model"),
        (
            ("--url", "http://127.0.0.1:9", "--task", "gsm8k", "--data", "legs.jsonl"),
            "cannot be reached",
        ),
    ],
)
def test_mistakes_are_one_line(
    more: tuple[str, ...],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: Path,
) -> None:
    monkeypatch.chdir(data.parent)
    assert still(monkeypatch, "eval", *more) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert "Traceback" not in told


def test_programs_are_run_by_those_who_allow_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "code.jsonl"
    tests = json.dumps([{"input": "", "output": "8", "testtype": "stdin"}])
    row = {
        "question_id": "1",
        "question_content": "Print 8.",
        "starter_code": "",
        "public_test_cases": tests,
        "private_test_cases": "[]",
        "metadata": "{}",
        "difficulty": "easy",
        "contest_date": "2025-01-01T00:00:00",
    }
    path.write_text(json.dumps(row) + "\n")
    with StubServer(RIGHT) as stub:
        asked = ("--task", "livecodebench", "--data", str(path), "--served-name", "stub")
        assert still(monkeypatch, "eval", "--url", stub.url, *asked) == 2
        assert not stub.asked
    assert "--allow-code" in capsys.readouterr().err
