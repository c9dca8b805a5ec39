from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.text import Detokenizer
from tests.text.vocabularies import awkward_text, chatml_tokenizer

TOKENIZER = chatml_tokenizer()


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, TOKENIZER.vocab_size - 1)))
def test_the_pieces_are_together_what_decoding_all_ids_gives(ids: list[int]) -> None:
    detokenizer = Detokenizer(TOKENIZER)
    pieces = [detokenizer.push(i) for i in ids]
    text = "".join(pieces) + detokenizer.finish()
    assert text == TOKENIZER.decode(ids, skip_special=True)


@settings(deadline=None)
@given(text=awkward_text())
def test_a_character_comes_whole_or_not_at_all(text: str) -> None:
    detokenizer = Detokenizer(TOKENIZER)
    assert all("\ufffd" not in detokenizer.push(i) for i in TOKENIZER.encode(text))


def test_a_character_cut_short_is_replaced_once_it_cannot_come_any_more() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    assert [detokenizer.push(byte) for byte in "é".encode()[:1] + b"a"] == ["", "\ufffda"]
    assert detokenizer.push("é".encode()[0]) == ""
    assert detokenizer.finish() == "\ufffd"
    assert detokenizer.push(ord("a")) == "a"


def test_control_tokens_give_no_text() -> None:
    detokenizer = Detokenizer(TOKENIZER)
    assert detokenizer.push(TOKENIZER.special_ids["<|im_end|>"]) == ""
    assert detokenizer.push(TOKENIZER.special_ids["<tool_call>"]) == "<tool_call>"
