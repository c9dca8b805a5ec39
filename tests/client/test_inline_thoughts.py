"""Thoughts told from answers in text alone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.client.inline_thoughts import InlineThoughts

PARTS = st.sampled_from(
    ["<think>", "</think>", "<th", "ink>", "</", "think>", "<", "\n", " ", "a", "Legs: 8.", "é"]
)


def read(texts: list[str]) -> tuple[str, str, str, bool]:
    """Reasoning, answer, all that was given, and whether a thought was closed."""
    thoughts = InlineThoughts()
    told = [piece for text in texts for piece in thoughts.push(text)] + thoughts.finish()
    given_text = "".join(text for _, text in told)
    return thoughts.reasoning, thoughts.answer, given_text, thoughts.is_closed


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("Eight legs.", "", "Eight legs."),
        ("<think>\nSpiders.\n</think>\n\nEight.", "Spiders.", "Eight."),
        ("\n<think>a\n\nb</think>c", "a\n\nb", "c"),
        ("Spiders are\narachnids.\n</think>\n\nEight.", "Spiders are\narachnids.", "Eight."),
        ("<think>\n\n</think>\n\nEight.", "", "Eight."),
        ("</think>Eight.", "", "Eight."),
        ("<think>It never ends", "It never ends", ""),
        ("<think>", "", ""),
        ("<thin ice", "", "<thin ice"),
        ("a </think", "", "a </think"),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("a</think>b<think>c</think>d", "a", "b<think>c</think>d"),
        ("It writes <think> and </think>.", "", "It writes <think> and </think>."),
        ("\n\n  Eight.", "", "\n\n  Eight."),
        ("a < b", "", "a < b"),
        ("", "", ""),
    ],
)
def test_tags_are_found_in_whatever_pieces(text: str, reasoning: str, answer: str) -> None:
    for texts in ([text], list(text), [text[:5], text[5:]]):
        assert read(texts)[:2] == (reasoning, answer)


@given(st.lists(PARTS, max_size=12).map("".join), st.lists(st.integers(0, 99), max_size=8))
def test_where_text_is_cut_changes_nothing(text: str, places: list[int]) -> None:
    reasoning, answer, _, is_closed = read([text])
    cut_reasoning, cut_answer, cut_given, cut_closed = read(cut(text, places))
    assert (cut_reasoning, cut_answer, cut_closed) == (reasoning, answer, is_closed)
    # Nothing is lost on the way: what was given is the text but for tags and newlines beside them.
    bare = cut_given.replace("\n", "")
    assert bare == (reasoning + answer).replace("\n", "")


@given(st.text(alphabet="<>/think abc\n", max_size=20))
def test_text_without_whole_tags_is_answer_as_it_came(text: str) -> None:
    if "<think>" not in text and "</think>" not in text:
        assert read(list(text))[:3] == ("", text, text)


def test_all_is_answer_once_the_server_is_known_to_keep_thoughts_apart() -> None:
    thoughts = InlineThoughts()
    assert thoughts.push("\n") == []
    assert thoughts.verbatim() == [("answer", "\n")]
    assert thoughts.push("<think>a</think>b") == [("answer", "<think>a</think>b")]
