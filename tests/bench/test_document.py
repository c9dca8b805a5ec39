"""A benchmark's document comes back as it was written, or one line says what is wrong with it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.bench.document import BenchDocument, parse_document, read_document
from stillhouse.errors import UsageError
from tests.bench import examples

WHOLE = examples.document(examples.cell(requests=5, failed=1), examples.cell(requests=2))

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def problem(text: bytes) -> str:
    with pytest.raises(UsageError) as raised:
        parse_document(text, "a.json")
    message = raised.value.message
    assert message.startswith("a.json: ")
    assert "\n" not in message
    assert raised.value.hint
    return message


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document, the outer ones first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, one in inner:
        found.append((*path, key))
        if isinstance(one, dict | list):
            found += places(one, (*path, key))
    return found


PLACES = places(json.loads(json.dumps(WHOLE)))


def changed(path: tuple[Any, ...], value: Any) -> bytes:
    document = json.loads(json.dumps(WHOLE))
    where = document
    for key in path[:-1]:
        where = where[key]
    where[path[-1]] = value
    return json.dumps(document).encode()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    cells = examples.cell(requests=5, failed=1), examples.cell(users=None, rate_per_s=2.0)
    path = tmp_path / "a.json"
    path.write_bytes(examples.text(*cells, notes=["a note"]))
    read = read_document(path)
    assert read.results == cells
    assert read == BenchDocument.of(
        examples.document(*cells, notes=["a note"]), cells, examples.SLO
    )


def test_names_of_later_versions_are_left_alone() -> None:
    document = deepcopy(WHOLE) | {"weather": "rain"}
    document["results"][0]["colour"] = 3
    assert len(parse_document(json.dumps(document).encode(), "a.json").results) == 2


def test_a_file_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read"):
        read_document(tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_document(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("command",), "plan", "a document of 'still plan', not of 'still bench'"),
        (("command",), 3, "of no command"),
        (("results", 0, "users"), "four", "results.0.users"),
        (("results", 0, "users"), True, "results.0.users"),
        (("results", 0, "users"), None, "results.0: a closed loop has users"),
        (("results", 1, "loop"), "open", "results.1: a closed loop has users"),
        (("results", 1, "rate_per_s"), 1.5, "results.1: an open loop has a rate"),
        (("results", 0, "ttft_s", "p50"), float("nan"), "NaN is no measurement"),
        (("results", 0, "duration_s"), float("inf"), "Infinity is no measurement"),
        (("results", 0, "duration_s"), -1.0, "results.0.duration_s: is negative"),
        (("results", 0, "e2e_s", "p95"), -1, "results.0.e2e_s.p95: is negative"),
        (("results", 0, "requests"), 10**400, "is no measurement"),
        (("results", 0, "requests"), 7, "5 request_records, where 7 requests and 1 errors"),
        (("results", 0, "error_kinds"), {"a\nb": "c"}, "results.0.error_kinds.a?b"),
        (("results", 1, "request_records", 0, "counted"), "guess", "request_records.0.counted"),
        (("machine",), [], "machine"),
        (("slo", "ttft_s"), "5s", "slo.ttft_s"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(path: tuple[Any, ...], value: Any, said: str) -> None:
    assert said in problem(changed(path, value))


def test_a_missing_name_is_named() -> None:
    document = deepcopy(WHOLE)
    del document["results"][1]["model"]
    assert "results.1.model: field required" in problem(json.dumps(document).encode())
    assert "results: field required" in problem(b'{"command": "bench", "stillhouse": "1", '
        b'"commit": null, "machine": {}, "date": ""}')  # fmt: skip


def test_numbers_that_are_too_long_or_too_deep_are_a_line() -> None:
    assert "no measurement" in problem(b'{"a": ' + b"9" * 10_000 + b"}")
    assert "no measurement" in problem(b'{"a": 1e999}')
    assert "nested" in problem(b"[" * 200_000)
    assert "JSON" in problem(b'{"command": "bench", "x": ' + b"[" * 300 + b"]" * 300 + b"}")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(json.dumps(WHOLE)) - 1))
def test_a_truncated_file_is_a_line(length: int) -> None:
    problem(json.dumps(WHOLE).encode()[:length])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), ANY_JSON)
def test_whatever_stands_anywhere_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    text = changed(path, value)
    try:
        parse_document(text, "a.json")
    except UsageError:
        problem(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused_in_a_line(text: bytes) -> None:
    problem(text)
