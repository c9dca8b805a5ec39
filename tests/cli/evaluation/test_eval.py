"""`still eval`: what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.cli.json_names import DOCUMENTS, EVERY_DOCUMENT
from tests.cli.evaluation.commands import MUTE, RIGHT, USAGE, WRONG, words
from tests.cli.test_main import still
from tests.stub_server import Script, StubServer


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


def test_a_spent_token_budget_is_told_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        assert still(monkeypatch, *words(stub, data, "--token-budget", "5")) == 1
        assert len(stub.asked) == 3  # of two tokens each
    printed = capsys.readouterr().out
    assert "incomplete: 3 of 6 samples are there; only the 1 of 3 questions" in printed
    assert "pass@1:2 100.0 %" in printed


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


def test_a_model_without_a_whole_question_keeps_its_label(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    """Else the next server of that model would go on with its samples."""
    with StubServer(RIGHT) as stub, StubServer(WRONG) as other:
        more = ("--url", other.url, "--token-budget", "2", "--json")
        assert still(monkeypatch, *words(stub, data, *more)) == 1
        assert [len(stub.asked), len(other.asked)] == [1, 1]
    document = json.loads(capsys.readouterr().out)
    assert [one["label"] for one in document["results"]] == [
        "vllm stub", f"vllm stub at {other.url}"
    ]  # fmt: skip
    assert len(document["warnings"]) == 2


def test_a_budget_of_none_leaves_the_thought_to_the_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        more = ("--limit", "1", "--thinking-budget", "none,64", "--json")
        assert still(monkeypatch, *words(stub, data, *more)) == 0
        budgets = [asked.body.get("thinking_token_budget") for asked in stub.asked]
    assert budgets == [None, None, 64, 64]
    results = json.loads(capsys.readouterr().out)["results"]
    labels = ["vllm stub", "vllm stub, 64 tokens of thought"]
    assert [one["label"] for one in results] == labels


def test_no_thought_and_a_budget_for_it_are_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub:
        more = ("--no-think", "--thinking-budget", "none,64")
        assert still(monkeypatch, *words(stub, data, *more)) == 2
        assert not stub.asked
    assert "--no-think leaves nothing" in capsys.readouterr().err


def test_a_server_that_keeps_no_budget_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 99}}
    usage = USAGE | details | {"completion_tokens": 101}
    long = Script(reasoning=("So it is. " * 40,), answer=("\\boxed{8}",), usage=usage)
    with StubServer(long) as stub:
        assert still(monkeypatch, *words(stub, data, "--thinking-budget", "4")) == 0
    told = capsys.readouterr()
    assert "6 of 6 thoughts are longer than the budget of 4 tokens" in told.out


def test_servers_of_one_model_have_labels_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    with StubServer(RIGHT) as stub, StubServer(WRONG) as other:
        more = ("--url", other.url, "--thinking-budget", "16", "--json")
        assert still(monkeypatch, *words(stub, data, *more)) == 0
        labels = [one["label"] for one in json.loads(capsys.readouterr().out)["results"]]
        suffix = ", 16 tokens of thought"
        assert labels == [f"vllm stub{suffix}", f"vllm stub at {other.url}{suffix}"]


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


def test_a_task_is_reported_though_the_next_one_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    refused = Script(status=400, body=b'{"error": {"message": "no such seed", "param": "seed"}}')
    with StubServer(*[RIGHT] * 6, WRONG, refused) as stub:
        both = words(stub, data, "--task", "gym:chain_sum")
        assert still(monkeypatch, *both, "--limit", "3") == 2
    printed = capsys.readouterr()
    assert "vllm stub: pass@1:2 100.0 %" in printed.out
    assert "gym:chain_sum is incomplete: " in printed.out
    assert "no such seed" in printed.err


def test_a_grader_that_lacks_its_library_is_told_before_anything_is_pulled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stillhouse.evals.grading.grader.find_spec", lambda _: None)
    assert still(monkeypatch, "eval", "no-such-model", "--task", "math500") == 2
    told = capsys.readouterr().err
    assert "needs math_verify, which is not installed" in told
    assert "stillhouse[eval]" in told


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
