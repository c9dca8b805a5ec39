"""R1's real template and tokenizer: however a transcript is cut, its stream joins to the whole."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.checkpoints import Metadata
from stillhouse.text import ChatTemplate, ReasoningSplitter, Tokenizer
from stillhouse.text.answers import AnswerReader
from stillhouse.text.messages import as_messages
from stillhouse.text.stop_strings import StopStrings

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2 + 2? <think>"},
    {"role": "assistant", "content": "<think>\nold\n</think>\n\n5", "reasoning_content": "older"},
    {"role": "user", "content": "Really? </think>"},
]
LETTERS = "aZ 7\n.,\\(ßé漢🕷<>/thinkuser|｜▁"
texts = st.text(alphabet=LETTERS, max_size=40)
cuts = st.lists(st.integers(0, 120), max_size=8)


@pytest.fixture(scope="module")
def r1_template(r1_metadata: Metadata, r1: Tokenizer) -> ChatTemplate:
    return ChatTemplate.from_metadata(r1_metadata, r1)


def pieces_of(text: str, at: Iterable[int]) -> list[str]:
    places = [0, *sorted(min(n, len(text)) for n in at), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def streamed(
    splitter: ReasoningSplitter, ids: list[int], stops: tuple[str, ...]
) -> tuple[str, str]:
    """Thought and answer as a stream gives them out, joined."""
    answer = AnswerReader(StopStrings(stops))
    thought, said = "", ""
    for token_id in [*ids, None]:
        for delta in splitter.finish() if token_id is None else splitter.push(token_id):
            if delta.kind == "reasoning":
                thought += delta.text
            elif not answer.has_ended:
                said += "".join(map(str, answer.push(delta.text)))
    return thought, said + "".join(map(str, answer.finish()))


@settings(deadline=None, max_examples=150)
@given(thought=texts, answer=texts, at=cuts, stop=st.sampled_from([(), ("Z",), ("7\n", ".")]))
def test_any_cut_of_a_transcript_gives_the_same_thought_and_answer(
    r1: Tokenizer,
    r1_template: ChatTemplate,
    thought: str,
    answer: str,
    at: list[int],
    stop: tuple[str, ...],
) -> None:
    thought, answer = thought.replace("</think>", ""), answer.replace("</think>", "")
    close_id = r1.special_ids["</think>"]
    for think in (None, True):
        prompt = r1_template.prompt_ids(as_messages(CHAT), r1, think=think)
        opened = ReasoningSplitter(r1, prompt).in_thought
        opening = [] if opened else [r1.special_ids["<think>"]]
        ids = [i for piece in pieces_of(thought, at) for i in r1.encode(piece)]
        after = [i for piece in pieces_of(answer, at) for i in r1.encode(piece)]
        told = streamed(ReasoningSplitter(r1, prompt), [*opening, *ids, close_id, *after], stop)
        whole = answer.lstrip("\n")
        found = [whole.find(text) for text in stop if text in whole]
        ends = [whole.find(text) + len(text) for text in stop if text in whole]
        if found:
            whole = whole[: found[ends.index(min(ends))]]
        assert told == (thought.strip("\n"), whole)


@settings(deadline=None, max_examples=100)
@given(answer=texts, at=cuts)
def test_without_a_thought_all_is_answer(
    r1: Tokenizer, r1_template: ChatTemplate, answer: str, at: list[int]
) -> None:
    prompt = r1_template.prompt_ids(as_messages(CHAT), r1, think=False)
    splitter = ReasoningSplitter(r1, prompt)
    assert not splitter.in_thought
    ids = [i for piece in pieces_of(answer, at) for i in r1.encode(piece)]
    assert streamed(splitter, ids, ()) == ("", answer.lstrip("\n"))


def test_earlier_thoughts_are_left_out_and_typed_tags_stay_text(
    r1: Tokenizer, r1_template: ChatTemplate
) -> None:
    prompt = r1_template.prompt_ids(as_messages(CHAT), r1)
    text = r1.decode(prompt)
    assert "old" not in text
    assert "5" in text
    assert "2 + 2? <think>" in text
    assert prompt.count(r1.special_ids["</think>"]) == 0
