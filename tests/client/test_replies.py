"""Chunks as pieces and a reply: texts, counts, times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.client.replies import ServedReply, ServedReplyReader
from stillhouse.errors import RequestFailed
from stillhouse.replies import Reply, Usage
from stillhouse.text import Delta


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def read(*chunks: dict[str, Any]) -> tuple[list[Delta], ServedReply]:
    """Asked at 10 s; the first chunk comes at 11 s, the others a second after each other."""
    reader = ServedReplyReader(10.0, is_plain=False, may_be_inline=True)
    items: list[Any] = []
    for number, document in enumerate(chunks):
        items += reader.read(document, 11.0 + number)
    *deltas, reply = items + reader.finish()
    assert isinstance(reply, Reply)
    return deltas, reply


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_has_any_of_its_names(name: str) -> None:
    deltas, reply = read(
        chunk(role="assistant", content=""),
        chunk(**{name: "Spi", "content": None}),
        chunk(**{name: "ders"}),
        chunk(content="\n"),
        chunk(content="Eight"),
        chunk("stop"),
    )
    kinds = ["reasoning", "reasoning", "answer", "answer"]
    assert [delta.kind for delta in deltas] == kinds
    assert (reply.reasoning, reply.answer) == ("Spiders", "\nEight")
    assert (reply.finish_reason, reply.thinking_end) == ("stop", "natural")
    times = reply.timings
    assert (times.ttft_s, times.ttfat_s, times.e2e_s, times.thinking_s) == (2.0, 5.0, 5.0, 2.0)
    assert times.decode_tokens_per_s == 1.0
    assert (reply.counted, reply.num_pieces) == ("chunks", 4)
    assert reply.usage == Usage(0, 2, 2, 0)


def test_a_thought_under_two_names_comes_once() -> None:
    deltas, reply = read(chunk(reasoning_content="a", reasoning="a"), chunk("stop"))
    assert deltas == [Delta("reasoning", "a")]
    assert reply.reasoning == "a"


def test_an_answer_that_turns_out_to_be_thought_has_its_times_put_right() -> None:
    deltas, reply = read(
        chunk(content="Spi"),
        chunk(content="ders.\n"),
        chunk(content="</th"),
        chunk(content="ink>\n\n"),
        chunk(content="Eight"),
        chunk("stop"),
    )
    assert (reply.reasoning, reply.answer, reply.thinking_end) == ("Spiders.", "Eight", "natural")
    assert "".join(delta.text for delta in deltas if delta.kind == "answer").endswith("Eight")
    times = reply.timings
    assert (times.ttft_s, times.ttfat_s, times.thinking_s, times.e2e_s) == (1.0, 5.0, 3.0, 5.0)
    assert reply.usage == Usage(0, 3, 2, 0)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.booleans())
def test_where_tags_are_cut_changes_no_text(lengths: list[int], is_opened: bool) -> None:
    text = ("<think>\n" if is_opened else "") + "Spiders have…\n</think>\n\nEight <b>legs</b>."
    chunks, at = [], 0
    for length in lengths:
        chunks.append(chunk(content=text[at : at + length]))
        at += length
    _, reply = read(*chunks, chunk(content=text[at:]), chunk("stop"))
    assert (reply.reasoning, reply.answer) == ("Spiders have…", "Eight <b>legs</b>.")
    assert reply.timings.ttft_s == 1.0
    assert reply.timings.ttfat_s is not None


def usage(**told: Any) -> dict[str, Any]:
    return {"choices": [], "usage": told}


THOUGHT_AND_ANSWER = (
    *(chunk(reasoning_content="a") for _ in range(3)),
    chunk(content="b"),
    chunk("stop"),
)


@pytest.mark.parametrize(
    ("told", "expected", "counted"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 30}}, (30, 10), "usage"),
        ({"reasoning_tokens": 25}, (25, 15), "usage"),
        ({"reasoning_tokens": 0}, (30, 10), "chunks"),  # beside a thought that has come
        ({"completion_tokens_details": {"reasoning_tokens": None}}, (30, 10), "chunks"),
        ({"reasoning_tokens": 41}, (30, 10), "chunks"),  # more than all
        ({}, (30, 10), "chunks"),
    ],
)
def test_thoughts_are_counted_by_the_server_or_shared_out(
    told: dict[str, Any], expected: tuple[int, int], counted: str
) -> None:
    _, reply = read(*THOUGHT_AND_ANSWER, usage(prompt_tokens=9, completion_tokens=40, **told))
    assert (reply.usage.reasoning_tokens, reply.usage.answer_tokens) == expected
    assert (reply.counted, reply.usage.prompt_tokens, reply.knows_cached) == (counted, 9, False)
    assert reply.timings.decode_tokens_per_s == 39 / 3


def test_an_answer_alone_needs_no_sharing_out() -> None:
    _, reply = read(chunk(content="a"), chunk("stop"), usage(prompt_tokens=9, completion_tokens=5))
    assert (reply.usage, reply.counted) == (Usage(9, 0, 5, 0), "usage")


def test_a_thought_that_is_not_shown_is_still_counted() -> None:
    told = usage(prompt_tokens=9, completion_tokens=5, reasoning_tokens=4)
    _, reply = read(chunk(content="a"), chunk("stop"), told)
    assert (reply.usage, reply.counted) == (Usage(9, 4, 1, 0), "usage")


@pytest.mark.parametrize(
    "more",
    [
        {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}},
        {"usage": {"prompt_tokens": 9}, "timings": {"cache_n": 8}},
    ],
)
def test_cached_tokens_are_read_where_they_are_told(more: dict[str, Any]) -> None:
    _, reply = read(chunk(content="a"), chunk("stop"), {"choices": [], **more})
    assert (reply.usage.cached_tokens, reply.knows_cached) == (8, True)
    assert reply.timings.prefill_tokens_per_s == 1.0


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk(content="a"), chunk("length")], ("length", "none")),
        ([chunk(reasoning="a"), chunk("length")], ("length", "context")),
        ([chunk(content="<think>a"), chunk("length")], ("length", "context")),
        ([chunk(reasoning="a"), chunk(content="b"), chunk("length")], ("length", "natural")),
        ([chunk(reasoning="a"), chunk("stop")], ("stop", "natural")),
        ([chunk(reasoning="a"), chunk("abort")], ("cancelled", "client")),
        ([chunk(content="a"), chunk("function_call")], ("tool_calls", "none")),
    ],
)
def test_why_a_reply_and_its_thought_ended_follows_from_what_came(
    chunks: list[dict[str, Any]], expected: tuple[str, str]
) -> None:
    _, reply = read(*chunks)
    assert (reply.finish_reason, reply.thinking_end) == expected


def test_our_own_server_knows_it_better() -> None:
    last = chunk("length")
    last["choices"][0]["stillhouse"] = {"finish_reason": "loop", "thinking_end": "budget"}
    last["warnings"] = ["top_q is not known here, and has no effect"]
    _, reply = read(chunk(reasoning="a"), chunk(content="b"), last)
    assert (reply.finish_reason, reply.thinking_end) == ("loop", "budget")
    assert reply.warnings == ("top_q is not known here, and has no effect",)


def test_an_end_without_a_meaning_here_is_an_error() -> None:
    with pytest.raises(RequestFailed, match="content_filter") as raised:
        read(chunk(content="a"), chunk("content_filter"))
    assert raised.value.kind == "server"


def test_a_reply_without_text_has_no_times() -> None:
    deltas, reply = read(chunk(role="assistant", content=""), chunk("stop"))
    assert deltas == []
    assert (reply.timings.ttft_s, reply.timings.e2e_s) == (None, None)
