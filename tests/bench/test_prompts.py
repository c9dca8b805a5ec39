"""Prompts have the length they are asked for, and files are read as they are or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse import hub
from stillhouse.bench.prompts import Synthetic, read_prompts, words_for
from stillhouse.checkpoints import open_gguf
from stillhouse.errors import UsageError
from stillhouse.text import Tokenizer


def test_the_same_number_is_the_same_text_and_no_two_begin_alike() -> None:
    prompts = Synthetic(7)
    assert prompts.text(3, 50) == prompts.text(3, 50)
    beginnings = {" ".join(prompts.text(number, 64).split()[:8]) for number in range(200)}
    assert len(beginnings) == 200
    assert Synthetic(8).text(3, 50) != prompts.text(3, 50)


def test_a_word_is_a_token_to_within_a_hundredth(smollm2_path: Path) -> None:
    with open_gguf(hub.resolve(str(smollm2_path))) as checkpoint:
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
    text = Synthetic(0).text(0, 2000)
    assert len(tokenizer.encode(text)) == pytest.approx(2000, rel=0.01)


def test_words_make_up_what_the_template_leaves() -> None:
    assert words_for(512, [(16, 46), (144, 174)]) == 482
    assert words_for(512, [(16, 60), (144, 316)]) == 242  # two tokens a word


def test_a_template_longer_than_the_prompt_is_said_with_the_numbers() -> None:
    with pytest.raises(UsageError, match="template alone takes 30 tokens, and 20 are asked") as hit:
        words_for(20, [(16, 46), (144, 174)])
    assert hit.value.hint == "--prompt-tokens 32 or more"


def test_a_server_that_counts_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="counts 0 prompt tokens for 16 words and 0 for 144"):
        words_for(100, [(16, 0), (144, 0)])


def test_lines_and_json_lines_are_prompts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    prompts = read_prompts(tmp_path / "a.txt")
    assert [prompts.text(number, 9) for number in range(3)] == ["one", "two", "one"]
    (tmp_path / "a.jsonl").write_text('{"question": "Q", "answer": "A"}\n{"problem": "P"}\n')
    assert read_prompts(tmp_path / "a.jsonl").texts == ("Q", "P")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no prompts"),
        ("[1]\n", "line 1, has no prompt"),
        ('{"question": "Q"}\n{"question": 3}\n', "line 2, has no prompt"),
        ('{"question": "Q"\n', "line 1, is not JSON"),
    ],
)
def test_a_file_without_prompts_is_refused_by_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_prompts(tmp_path / "a.jsonl")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_prompts(tmp_path / "none.txt")
