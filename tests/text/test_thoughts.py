"""The thought and the answer, told apart while the tokens come."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.text import Delta, ReasoningSplitter, Tokenizer
from tests.text.vocabularies import chatml_tokenizer, r1_tokenizer

BY_ID = r1_tokenizer()  # <think> and </think> are one token each
BY_TEXT = chatml_tokenizer()  # they are several
TOKENIZERS = {"by id": BY_ID, "by text": BY_TEXT}
PROMPTS = {
    BY_ID: "<｜begin▁of▁sentence｜><｜User｜>1+1?<｜Assistant｜>",
    BY_TEXT: "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n",
}
OPENED, CLOSED = "<think>\n", "<think>\n\n</think>\n\n"


class Split(NamedTuple):
    reasoning: str
    answer: str


def splitter(tokenizer: Tokenizer, prompt_end: str = "") -> ReasoningSplitter:
    prompt = PROMPTS[tokenizer] + prompt_end
    return ReasoningSplitter(tokenizer, tokenizer.encode(prompt, special=True))


def pushed(tokenizer: Tokenizer, ids: list[int], prompt_end: str = "") -> list[list[Delta]]:
    reader = splitter(tokenizer, prompt_end)
    return [*(reader.push(i) for i in ids), reader.finish()]


def split(tokenizer: Tokenizer, ids: list[int], prompt_end: str = "") -> Split:
    deltas = [delta for some in pushed(tokenizer, ids, prompt_end) for delta in some]
    kinds = ("reasoning", "answer")
    return Split(*("".join(d.text for d in deltas if d.kind == kind) for kind in kinds))


def naive_split(text: str, prompt_end: str) -> Split:
    """What the whole text means, once all of it is there."""
    opens = text.lstrip().startswith("<think>")
    if not opens and prompt_end != OPENED:
        return Split("", text.lstrip("\n") if prompt_end == CLOSED else text)
    thought = text.lstrip().removeprefix("<think>") if opens else text
    thought, tag, answer = thought.partition("</think>")
    thought = thought.lstrip("\n")
    return Split(thought.rstrip("\n") if tag else thought, answer.lstrip("\n"))


generated = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "thi", "nk>", "\n", " ", "a", "é", "👩‍👧"])
).map("".join)


@pytest.mark.parametrize("prompt_end", ["", OPENED, CLOSED])
@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@settings(deadline=None)
@given(text=generated)
def test_the_stream_says_together_what_the_whole_text_means(
    tokenizer: Tokenizer, prompt_end: str, text: str
) -> None:
    ids = tokenizer.encode(text, special=True)
    assert split(tokenizer, ids, prompt_end) == naive_split(text, prompt_end)


@settings(deadline=None)
@given(text=generated, data=st.data())
def test_it_does_not_matter_how_text_is_cut_into_tokens(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    ends = zip([0, *cuts], [*cuts, len(text)], strict=True)
    ids = [i for start, end in ends for i in BY_TEXT.encode(text[start:end])]
    assert split(BY_TEXT, ids) == naive_split(text, "")


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, BY_ID.vocab_size - 1)), prompt_end=st.sampled_from(["", OPENED]))
def test_any_tokens_at_all_keep_their_order(ids: list[int], prompt_end: str) -> None:
    reader = splitter(BY_ID, prompt_end)
    deltas = [delta for i in ids for delta in reader.push(i)] + reader.finish()
    assert all(delta.text for delta in deltas)
    kinds = [delta.kind for delta in deltas]
    assert kinds == sorted(kinds, reverse=True)  # "reasoning" sorts after "answer"


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@pytest.mark.parametrize(
    ("prompt_end", "text", "meant"),
    [
        ("", "2", Split("", "2")),
        ("", "\n\n2\n", Split("", "\n\n2\n")),
        ("", "<think>\none\n</think>\n\n2", Split("one", "2")),
        ("", " \n<think>one</think>2", Split("one", "2")),
        ("", "<think>\none", Split("one", "")),
        ("", "so <think> it is", Split("", "so <think> it is")),
        ("", "<think>a</think>b<think>c</think>d", Split("a", "b<think>c</think>d")),
        ("", "<thin", Split("", "<thin")),
        (OPENED, "one\n</think>\n\n2", Split("one", "2")),
        (OPENED, "\n</think>\n\n2", Split("", "2")),
        (OPENED, "one", Split("one", "")),
        (OPENED, "one\n\n</thin", Split("one\n\n</thin", "")),
        (OPENED, "<think>\none\n</think>\n\n2", Split("one", "2")),
        (OPENED, "one <think> two</think>3", Split("one <think> two", "3")),
        (CLOSED, "\n2", Split("", "2")),
        (CLOSED, "<think>one</think>2", Split("one", "2")),
    ],
)
def test_thoughts_end_where_they_should(
    tokenizer: Tokenizer, prompt_end: str, text: str, meant: Split
) -> None:
    assert split(tokenizer, tokenizer.encode(text, special=True), prompt_end) == meant


def test_where_the_tag_is_one_token_its_spelling_is_text() -> None:
    ids = BY_ID.encode("a</think>b", special=False)
    assert split(BY_ID, ids, OPENED) == Split("a</think>b", "")


def test_a_character_cut_off_by_the_tag_is_not_lost() -> None:
    close = BY_ID.special_ids["</think>"]
    assert split(BY_ID, [*"é".encode()[:1], close, ord("a")], OPENED) == Split("\ufffd", "a")


def test_text_comes_as_soon_as_it_cannot_be_a_tag() -> None:
    ids = BY_TEXT.encode("a<b</c\n\nd</think>e")
    texts = ["".join(delta.text for delta in some) for some in pushed(BY_TEXT, ids, OPENED)]
    held = [BY_TEXT.decode([i]) for i, text in zip(ids, texts, strict=False) if not text]
    assert texts[0] == "a"
    assert "".join(texts) == "a<b</c\n\nde"
    assert "b" not in held
    assert "c" not in held


def test_a_tag_told_by_the_template_or_the_user_is_no_open_thought() -> None:
    for text in (
        "<｜begin▁of▁sentence｜>Think between <think> and the answer.<｜User｜>1+1?<｜Assistant｜>",
        "<｜User｜><think><｜Assistant｜><think>\n\n</think>\n\n",
    ):
        assert not ReasoningSplitter(BY_ID, BY_ID.encode(text, special=True)).in_thought


def test_a_thought_begun_in_the_prompt_goes_on() -> None:
    assert splitter(BY_ID, "<think>\nOkay, so").in_thought
    assert splitter(BY_TEXT, "<think>\nOkay, so").in_thought


def test_control_tokens_are_never_shown() -> None:
    ids = BY_ID.encode("one</think>2<｜end▁of▁sentence｜>", special=True)
    assert split(BY_ID, ids, OPENED) == Split("one", "2")


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@settings(deadline=None)
@given(text=st.text(alphabet="a</thi>\n ", max_size=9))
def test_what_closes_a_thought_closes_it_anywhere(tokenizer: Tokenizer, text: str) -> None:
    reader = splitter(tokenizer, OPENED)
    deltas = [delta for i in tokenizer.encode(text) for delta in reader.push(i)]
    assert reader.in_thought
    deltas += [delta for i in reader.close_ids for delta in reader.push(i)]
    assert not reader.in_thought
    assert "".join(delta.text for delta in deltas) == text.strip("\n")
    assert reader.push(tokenizer.encode("2")[0]) == [Delta("answer", "2")]


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
def test_a_fork_reads_on_by_itself_from_any_token(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<think>\nhm, größer 🕷</think>\n\nacht 🕷", special=True)
    for cut in range(len(ids)):
        parent = splitter(tokenizer)
        for token_id in ids[:cut]:
            parent.push(token_id)
        rests = [
            [*(reader.push(i) for i in ids[cut:]), reader.finish()]
            for reader in (parent.fork(), parent)  # the fork must leave the parent where it is
        ]
        assert rests[0] == rests[1] == pushed(tokenizer, ids)[cut:]
