"""`still run` as a user meets it: what goes to which stream, the chat prompt, Ctrl-C."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from stillhouse.cli.json_names import DOCUMENTS
from stillhouse.cli.run import run
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.replies import Reply, Timings, Usage
from stillhouse.text import Delta, Message

TIMINGS = Timings(1.0, 0.25, 0.5, 100.0, 31.25)


class Stream(Iterator[Delta | Reply]):
    """Pieces and then the Reply; after `cancel` the Reply at once."""

    def __init__(self, pieces: list[Delta], *, interrupt_at: int | None = None) -> None:
        self._pieces = pieces
        self._interrupt_at = interrupt_at
        self._given: list[Delta] = []
        self._is_cancelled = False

    def __next__(self) -> Delta | Reply:
        if self._is_cancelled or len(self._given) == len(self._pieces):
            return self._reply()
        if len(self._given) == self._interrupt_at:
            signal.raise_signal(signal.SIGINT)
        self._given.append(self._pieces[len(self._given)])
        return self._given[-1]

    def cancel(self) -> None:
        self._is_cancelled = True

    def _reply(self) -> Reply:
        texts = {"reasoning": "", "answer": ""}
        for piece in self._given:
            texts[piece.kind] += piece.text
        return Reply(
            texts["reasoning"],
            texts["answer"],
            "cancelled" if self._is_cancelled else "stop",
            "natural" if texts["reasoning"] else "none",
            Usage(9, 2 if texts["reasoning"] else 0, 3, 0),
            TIMINGS,
        )


class FakeLLM:
    """Keeps what it is asked, and answers with the next of `streams`."""

    streams: list[Stream]

    def __init__(self, reference: str, **options: Any) -> None:
        self.reference, self.options = reference, options
        self.chats: list[list[Message]] = []
        self.chat_options: dict[str, Any] = {}
        FakeLLM.last = self

    last: FakeLLM
    facts = None

    def chat(self, messages: list[Message], *, stream: bool, **options: Any) -> Stream:
        assert stream
        self.chats.append(list(messages))
        self.chat_options = options
        if not FakeLLM.streams:
            raise ContextTooLong("there is no room", hint="ask less")
        return FakeLLM.streams.pop(0)

    def with_bandwidth_share(self, reply: Reply) -> Reply:
        return reply

    def __enter__(self) -> FakeLLM:
        return self

    def __exit__(self, *_: object) -> None: ...


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def thought_and_answer() -> Stream:
    return Stream([Delta("reasoning", "Hm, "), Delta("reasoning", "eight."), Delta("answer", "8")])


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.llm.LLM", FakeLLM)
    monkeypatch.setattr("stillhouse.cli.run.memory_line", lambda _facts, _bytes: "1 GB of memory")
    monkeypatch.setattr("stillhouse.hub.resolve", lambda _, progress: Path())  # noqa: ARG005
    FakeLLM.streams = [thought_and_answer()]


def lines_typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Type these lines at a terminal's prompt, and then Ctrl-D."""
    rest = iter(lines)

    def type_one(_: str) -> str:
        line = next(rest, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", type_one)
    monkeypatch.setattr("sys.stdin", Terminal())


def test_the_answer_alone_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    run("a-model", "How many legs?")
    output = capsys.readouterr()
    assert output.out == "8\n"
    assert output.err.startswith("1 GB of memory\nHm, eight.\n\n")
    assert output.err.splitlines()[-1] == (
        "9 prompt + 2 thought + 3 answer tokens · first after 250 ms · 31.2 tok/s"
    )


def test_thoughts_can_be_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    run("a-model", "How many legs?", hide_thoughts=True)
    assert "Hm" not in capsys.readouterr().err


def test_thoughts_are_dimmed_on_a_terminal_and_plain_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    run("a-model", "How many legs?")
    assert "\x1b" not in capsys.readouterr().err
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    FakeLLM.streams = [thought_and_answer()]
    run("a-model", "How many legs?")
    told = terminal.getvalue().partition("1 GB of memory\x1b[0m\n")[2]
    assert told.startswith("\x1b[2mHm, eight.\x1b[0m\n\n")


def test_json_is_one_document_with_every_documented_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("a-model", "How many legs?", json=True)
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert output.err == ""
    assert document.keys() >= DOCUMENTS["run"].keys()
    assert document["model"] == "a-model"
    assert (document["reasoning"], document["answer"]) == ("Hm, eight.", "8")
    assert document["usage"] == {
        "prompt_tokens": 9,
        "reasoning_tokens": 2,
        "answer_tokens": 3,
        "cached_tokens": 0,
    }


def test_a_prompt_may_be_piped_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("How many legs?\n"))
    run("a-model")
    assert FakeLLM.last.chats == [[Message("user", "How many legs?\n")]]
    assert capsys.readouterr().out == "8\n"


def test_nothing_piped_in_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    with pytest.raises(UsageError, match="no prompt"):
        run("a-model")


def test_options_reach_the_model() -> None:
    run("a-model", "?", system="Be brief.", max_memory="8GB", context=512, seed=3, stop=["\n"])
    llm = FakeLLM.last
    assert llm.options["max_memory_bytes"] == 8_000_000_000
    assert llm.options["context_tokens"] == 512
    assert llm.chats == [[Message("system", "Be brief."), Message("user", "?")]]
    assert llm.chat_options["seed"] == 3
    assert llm.chat_options["stop"] == ("\n",)


def test_ctrl_c_ends_one_answer_with_130_and_keeps_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pieces = [Delta("answer", "one "), Delta("answer", "two "), Delta("answer", "three")]
    FakeLLM.streams = [Stream(pieces, interrupt_at=1)]
    with pytest.raises(typer.Exit) as stopped:
        run("a-model", "Count.")
    assert stopped.value.exit_code == 130
    output = capsys.readouterr()
    assert output.out == "one two \n"
    assert output.err.rstrip().endswith("stopped")


def test_ctrl_c_in_a_chat_ends_the_answer_and_not_the_chat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = [Delta("answer", "one "), Delta("answer", "two")]
    FakeLLM.streams = [Stream(pieces, interrupt_at=0), thought_and_answer()]
    lines_typed(monkeypatch, "Count.", "How many legs?")
    run("a-model")
    assert capsys.readouterr().out == "one \n8\n\n"


def test_a_chat_remembers_answers_but_not_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeLLM.streams = [thought_and_answer(), thought_and_answer()]
    lines_typed(monkeypatch, "How many legs?", "", "Sure?")
    run("a-model", system="Be brief.")
    assert FakeLLM.last.chats[1] == [
        Message("system", "Be brief."),
        Message("user", "How many legs?"),
        Message("assistant", "8"),
        Message("user", "Sure?"),
    ]


def test_clear_forgets_all_but_the_system_message(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeLLM.streams = [thought_and_answer(), thought_and_answer()]
    lines_typed(monkeypatch, "How many legs?", "/clear", "Who?", "/exit", "never read")
    run("a-model", system="Be brief.")
    assert FakeLLM.last.chats[1:] == [[Message("system", "Be brief."), Message("user", "Who?")]]


def test_an_error_ends_neither_chat_nor_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeLLM.streams = []
    lines_typed(monkeypatch, "a very long question", "/help")
    run("a-model")
    errors = capsys.readouterr().err
    assert "error: there is no room (ask less)" in errors
    assert "/clear" in errors
