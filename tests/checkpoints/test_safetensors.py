"""Safetensors headers: what the library writes is read, and what is wrong gives one line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from stillhouse.checkpoints.safetensors import read_safetensors_header
from stillhouse.errors import BadCheckpoint
from tests.checkpoints.folders import safetensors_file, with_header

QUICK = settings(max_examples=150, deadline=1000, derandomize=True)
ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def test_what_the_library_writes_is_found_where_it_lies() -> None:
    rng = np.random.default_rng(0)
    tensors: dict[str, Any] = {
        "m": rng.normal(size=(3, 5)).astype(np.float32),
        "h": rng.normal(size=7).astype(np.float16),
        "codes": rng.integers(-128, 127, (2, 9)).astype(np.int8),
        "shape": np.array([2, 9]),
        "words": rng.integers(-(2**31), 2**31, (4, 1)).astype(np.int32),
        "one": np.array(2.5, np.float64),
    }
    content = save(tensors, {"made": "here"})
    entries = {entry.name: entry for entry in read_safetensors_header(content)}
    assert entries.keys() == tensors.keys()
    for name, array in tensors.items():
        assert entries[name].shape == array.shape
        assert content[entries[name].start : entries[name].end] == array.tobytes()


def entry(**fields: Any) -> dict[str, Any]:
    return {"a": {**ONE["a"], **fields}}


@pytest.mark.parametrize(
    ("header", "data_bytes", "message"),
    [
        (entry(dtype="U8"), 8, "'U8'"),
        (entry(dtype=["F32"]), 8, "is not read"),
        (entry(shape=[3]), 8, "12 bytes, and its offsets span 8"),
        (entry(shape=[2, 0]), 8, "the shape"),
        (entry(shape=[-2]), 8, "the shape"),
        (entry(shape=[True]), 8, "the shape"),
        (entry(shape=[1] * 9), 8, "the shape"),
        (entry(shape=[2**40, 2**40]), 8, "offsets span 8"),
        (entry(data_offsets=[0]), 8, "the offsets"),
        (entry(data_offsets=[8, 0]), 8, "offsets span -8"),
        (entry(data_offsets=[4, 12]), 12, "first tensor at"),
        (ONE, 7, "its tensors end at"),
        (ONE, 9, "its tensors end at"),
        ({"a": 5}, 8, "lacks"),
        ({"a": {"dtype": "F32", "shape": [2]}}, 8, "lacks"),
        ({**ONE, "b": {**ONE["a"], "data_offsets": [4, 12]}}, 12, "begins at byte"),
        ({**ONE, "b": {**ONE["a"], "data_offsets": [9, 17]}}, 17, "begins at byte"),
        ([1], 0, "not a JSON object"),
        ("{", 0, "not JSON"),
        ("[" * 100_000, 0, "not JSON"),
        ('{"a": ' + json.dumps(ONE["a"]) + ', "a": ' + json.dumps(ONE["a"]) + "}", 8, "twice"),
    ],
)
def test_a_header_that_lies_is_refused(header: Any, data_bytes: int, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        read_safetensors_header(with_header(header, bytes(data_bytes)))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("num_bytes", range(0, 80, 7))
def test_a_truncated_file_is_refused(num_bytes: int) -> None:
    content = safetensors_file({"a": np.ones(2, np.float32)})
    with pytest.raises(BadCheckpoint):
        read_safetensors_header(content[:num_bytes])


def test_a_header_larger_than_any_model_has_is_not_read() -> None:
    with pytest.raises(BadCheckpoint, match="are the limit"):
        read_safetensors_header((2**40).to_bytes(8, "little") + bytes(100))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "I8", "BF16", "F8_E4M3", "BOOL"]) | JSON,
        "shape": st.lists(st.integers(-1, 9) | st.just(2**62), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 70) | st.just(2**62), max_size=3) | JSON,
    }
)


@QUICK
@given(st.dictionaries(st.text(max_size=3), ENTRIES | JSON, max_size=3), st.integers(0, 64))
def test_made_up_headers_are_read_or_give_one_line(header: dict[str, Any], data: int) -> None:
    check(with_header(header, bytes(data)))


@QUICK
@given(st.data())
def test_mutated_files_are_read_or_give_one_line(data: st.DataObject) -> None:
    tensors = {"m": np.ones((2, 3), np.float32), "v": np.ones(4, np.int8)}
    content = bytearray(safetensors_file(tensors))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=4))
        content[position : position + len(patch)] = patch
    check(bytes(content[: data.draw(st.integers(0, len(content)))]))
    check(bytes(content))


def check(content: bytes) -> None:
    try:
        tensors = read_safetensors_header(content)
    except BadCheckpoint as error:
        line = f"{error.message} {error.hint}"
        assert line.isprintable()
    else:
        for tensor in tensors:
            assert 8 <= tensor.start < tensor.end <= len(content)
