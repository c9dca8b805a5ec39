from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.text import Message, as_messages
from stillhouse.text.messages import without_thoughts


def test_a_bare_text_is_a_user_message() -> None:
    assert as_messages("hi") == [Message("user", "hi")]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "thinking"])
def test_every_spelling_of_a_thought_is_taken(field: str) -> None:
    given_back = {"role": "assistant", "content": "4", field: "2 and 2"}
    assert as_messages([given_back]) == [Message("assistant", "4", "2 and 2")]


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ([], "no messages"),
        ([{"role": "user"}], "role and a content"),
        ([{"content": "hi"}], "role and a content"),
        ([{"role": "robot", "content": "hi"}], "'robot'"),
        ([{"role": "user", "content": None}], "not text"),
    ],
)
def test_a_chat_that_is_none_gives_one_line(chat: list[dict[str, str]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        as_messages(chat)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("4", "4"),
        ("<think>\n2 and 2\n</think>\n\n4", "\n\n4"),
        ("2 and 2\n</think>\n\n4", "\n\n4"),  # the template had opened the thought
        ("<think>a</think><think>b</think>c", "c"),
        ("<think>it never closed", ""),
        ("the tag <think> opens a thought", "the tag <think> opens a thought"),
    ],
)
def test_earlier_thoughts_are_taken_out_of_answers(content: str, kept: str) -> None:
    earlier = Message("assistant", content, reasoning="hm")
    assert without_thoughts([earlier]) == [Message("assistant", kept)]


def test_what_users_write_about_tags_is_kept() -> None:
    asked = Message("user", "what is <think>x</think>?")
    assert without_thoughts([asked]) == [asked]


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "\n", " "])).map("".join))
def test_taking_thoughts_out_twice_changes_nothing(content: str) -> None:
    once = without_thoughts([Message("assistant", content)])
    assert without_thoughts(once) == once
    assert "</think>" not in once[0].content
