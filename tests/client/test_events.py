"""Server-sent events out of bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.client.events import EventReader
from stillhouse.errors import RequestFailed
from tests.stub_server import Script

STREAM = Script(reasoning=("é", "ü\n"), answer=("日本", "🕷"), usage={"prompt_tokens": 1}).whole()


def read(chunks: list[bytes]) -> list[tuple[bytes, bool]]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.push(chunk)] + reader.finish()


@given(st.lists(st.integers(0, len(STREAM)), max_size=20), st.sampled_from([b"\n", b"\r\n"]))
def test_where_bytes_are_cut_changes_nothing(places: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    edges = sorted({0, len(stream), *places})
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert read(chunks) == read([STREAM])
    assert len(read(chunks)) == 8


def test_comments_names_ids_and_spaces_are_left_out() -> None:
    stream = b": alive\n\nevent: message\nid: 7\nretry: 1\ndata:{}\n\n\n\ndata:  [DONE] \n\n"
    assert read([stream]) == [(b"{}", False), (b"[DONE]", False)]


def test_an_event_of_two_lines_is_one() -> None:
    assert read([b'data: {"a":\ndata: 1}\n\n']) == [(b'{"a":\n1}', False)]


def test_errors_are_told_by_name_and_by_field() -> None:
    stream = b'event: error\ndata: {"a": 1}\n\nerror: {"b": 2}\n\ndata: {}\n\n'
    assert read([stream]) == [(b'{"a": 1}', True), (b'{"b": 2}', True), (b"{}", False)]


def test_the_last_event_needs_no_newline() -> None:
    assert read([b"data: [DONE]"]) == [(b"[DONE]", False)]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    reader = EventReader()
    for _ in range(16):
        reader.push(b"x" * 2**20)
    with pytest.raises(RequestFailed, match="16777216 bytes") as raised:
        reader.push(b"x")
    assert raised.value.kind == "broken_stream"
