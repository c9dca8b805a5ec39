"""Replies in OpenAI's forms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.server.openai_forms import completion_logprobs
from stillhouse.text import TokenLogprob


def token(raw: bytes, logprob: float | None = -1.0, *top: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(0, raw.decode(errors="replace"), raw, logprob, top)


@given(
    text=st.text("aé日🕷 \n", max_size=12),
    data=st.data(),
    start=st.integers(0, 5),
    is_begun=st.booleans(),
)
def test_offsets_are_of_the_characters_that_tokens_begin_in(
    text: str, data: st.DataObject, start: int, is_begun: bool
) -> None:
    raw = text.encode()
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, len(raw))))})
    parts = [raw[a:b] for a, b in zip(cuts, [*cuts[1:], len(raw)], strict=True)]
    begin = [token(b"<s>")] if is_begun else []
    columns = completion_logprobs([*begin, *map(token, parts)], start, num_silent=int(is_begun))
    owners = [n for n, character in enumerate(text) for _ in character.encode()]  # of each byte
    expected = [start + (owners[cut] if cut < len(raw) else len(text)) for cut in cuts]
    assert columns["text_offset"] == [start] * is_begun + expected


def test_a_prompts_first_token_is_null_and_of_equal_texts_the_best_is_told() -> None:
    parts = token(b"\xf0", -0.5), token(b"\x9f", -2.0), token(b"a", -3.0)
    columns = completion_logprobs([token(b"a", None), token(b"\xf0", -0.5, *parts)], 0)
    assert columns["token_logprobs"] == [None, -0.5]
    assert columns["top_logprobs"] == [None, {"�": -0.5, "a": -3.0}]
