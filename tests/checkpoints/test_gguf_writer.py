"""Writing GGUF files: two readers, the gguf package's and our own, see what was written."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.checkpoints import (
    MetaEntry,
    TensorSpec,
    ValueType,
    meta_entry,
    open_gguf,
    read_entries,
    write_gguf,
)
from stillhouse.checkpoints import gguf_writer as writer
from stillhouse.checkpoints.gguf_entries import replaced
from stillhouse.encodings import ENCODINGS, by_name
from stillhouse.errors import NotEnoughSpace
from tests.factories import tiny_model

_NUMBERS = {
    ValueType.UINT8: "u1",
    ValueType.INT8: "i1",
    ValueType.UINT16: "u2",
    ValueType.INT16: "i2",
    ValueType.UINT32: "u4",
    ValueType.INT32: "i4",
    ValueType.FLOAT32: "f4",
    ValueType.UINT64: "u8",
    ValueType.INT64: "i8",
    ValueType.FLOAT64: "f8",
}


def _number(kind: ValueType) -> st.SearchStrategy[Any]:
    if kind is ValueType.BOOL:
        return st.booleans()
    dtype = np.dtype(_NUMBERS[kind])
    if dtype.kind == "f":
        return st.floats(width=8 * dtype.itemsize, allow_nan=False)
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SCALARS = st.sampled_from([*_NUMBERS, ValueType.BOOL]).flatmap(
    lambda kind: st.tuples(_number(kind), st.just(kind))
)
_ARRAYS = st.sampled_from([*_NUMBERS]).flatmap(
    lambda kind: st.lists(_number(kind), max_size=5).map(
        lambda items: (np.array(items, _NUMBERS[kind]), None)
    )
)
_OTHERS = st.one_of(_TEXT, st.lists(_TEXT, max_size=4)).map(lambda value: (value, None))
# Keys that the reader understands itself have values of their own; hypothesis finds their names.
_OWN_KEYS = ("", "general.alignment", "split.no", "split.count", "split.tensors.count")
_ENTRIES = st.dictionaries(
    _TEXT.filter(lambda key: key not in _OWN_KEYS),
    st.one_of(_SCALARS, _ARRAYS, _OTHERS),
    max_size=8,
)
_TENSORS = st.dictionaries(
    _TEXT.filter(bool),
    st.tuples(
        st.sampled_from(ENCODINGS), st.lists(st.integers(1, 3), max_size=2), st.integers(1, 2)
    ),
    max_size=4,
)


@given(values=_ENTRIES, tensors=_TENSORS, alignment=st.sampled_from([None, 1, 32, 64]))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    values: dict[str, tuple[Any, ValueType | None]],
    tensors: dict[str, tuple[Any, list[int], int]],
    alignment: int | None,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    rng = np.random.default_rng(0)
    entries = [meta_entry(key, value, kind) for key, (value, kind) in values.items()]
    if alignment is not None:
        entries.append(meta_entry("general.alignment", alignment))
    specs = [
        TensorSpec(name, (*rows, blocks * encoding.block_size), encoding)
        for name, (encoding, rows, blocks) in tensors.items()
    ]
    data = [rng.integers(0, 256, spec.num_bytes, np.uint8) for spec in specs]
    assert write_gguf(path, entries, specs, data) == path.stat().st_size
    assert read_entries(path) == entries
    with open_gguf(path) as checkpoint:
        for key, (value, _) in values.items():
            np.testing.assert_array_equal(checkpoint.metadata[key], value)
        assert list(checkpoint.tensors) == list(tensors)
        for spec, raw in zip(specs, data, strict=True):
            tensor = checkpoint.tensors[spec.name]
            assert (tensor.shape, tensor.format_name) == (spec.shape, spec.encoding.name)
            np.testing.assert_array_equal(tensor.raw.ravel(), raw)


def test_the_gguf_package_reads_every_type_of_value(tmp_path: Path) -> None:
    entries = [meta_entry("general.architecture", "llama"), meta_entry("truth", True)]
    entries += [meta_entry(f"one.{kind.name}", 7, kind) for kind in _NUMBERS]
    entries += [
        meta_entry(f"many.{dtype}", np.arange(3, dtype=dtype)) for dtype in _NUMBERS.values()
    ]
    entries += [meta_entry("texts", ["", "é", "🙂"])]
    path = tmp_path / "types.gguf"
    write_gguf(path, entries, [], [])
    fields = gguf.GGUFReader(path).fields
    assert fields["truth"].contents() is True
    for kind, dtype in _NUMBERS.items():
        one, many = fields[f"one.{kind.name}"], fields[f"many.{dtype}"]
        assert (one.types, one.contents()) == ([gguf.GGUFValueType[kind.name]], 7)
        assert many.types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType[kind.name]]
        assert many.contents() == [0, 1, 2]
    assert fields["texts"].contents() == ["", "é", "🙂"]


def test_the_gguf_package_reads_every_format_of_tensors(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    types = set(gguf.GGMLQuantizationType)
    # The package has another size for Q8_1, which no file holds.
    known = [e for e in ENCODINGS if e.ggml_type in types and e.name != "Q8_1"]
    specs = [TensorSpec(f"t.{e.name}", (3, 2 * e.block_size), e) for e in known]
    data = [rng.integers(0, 256, spec.num_bytes, np.uint8) for spec in specs]
    path = tmp_path / "formats.gguf"
    write_gguf(path, [meta_entry("general.architecture", "llama")], specs, data)
    for spec, raw, tensor in zip(specs, data, gguf.GGUFReader(path).tensors, strict=True):
        assert (tensor.name, tensor.tensor_type.name) == (spec.name, spec.encoding.name)
        assert tuple(tensor.shape[::-1]) == spec.shape
        assert tensor.data.tobytes() == raw.tobytes()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, ValueType.BOOL),
        (7, ValueType.UINT32),
        (-7, ValueType.INT32),
        (1 << 40, ValueType.UINT64),
        (-(1 << 40), ValueType.INT64),
        (0.5, ValueType.FLOAT32),
    ],
)
def test_a_number_gets_the_first_type_that_holds_it(value: float, kind: ValueType) -> None:
    assert meta_entry("key", value).kind is kind


def test_a_number_that_no_type_holds_is_refused() -> None:
    with pytest.raises(OverflowError):
        meta_entry("key", 1 << 64)


def test_a_replaced_entry_goes_to_the_end() -> None:
    old = [meta_entry(key, 1) for key in "abc"]
    new = meta_entry("b", 2)
    assert replaced(old, new) == [old[0], old[2], new]


def test_a_model_written_from_its_parts_has_the_same_bytes(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "tiny.gguf", encoding="Q4_0", vocab=300)
    copy = tmp_path / "copy.gguf"
    with open_gguf(source) as checkpoint:
        tensors = checkpoint.tensors.values()
        specs = [TensorSpec(t.name, t.shape, t.encoding) for t in tensors]
        write_gguf(copy, read_entries(source), specs, (t.raw for t in tensors))
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("old", [None, b"an older file"])
def test_an_error_in_the_middle_leaves_no_file_and_the_old_one(
    tmp_path: Path, old: bytes | None
) -> None:
    path = tmp_path / "half.gguf"
    if old is not None:
        path.write_bytes(old)
    specs = [TensorSpec(name, (8,), by_name("F32")) for name in "ab"]

    def data() -> Any:
        yield np.zeros(8, np.float32)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="middle"):
        write_gguf(path, [], specs, data())
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if old is None else [old])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_with_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "No space left on device")

    monkeypatch.setattr(writer.os, "fsync", full)
    specs = [TensorSpec("a", (1000,), by_name("F32"))]
    with pytest.raises(NotEnoughSpace, match=r"filled up while big\.gguf\.part .* takes 4\.\d+ kB"):
        write_gguf(tmp_path / "big.gguf", [], specs, [np.zeros(1000, np.float32)])
    assert not list(tmp_path.iterdir())


def test_entries_compare_by_their_bytes() -> None:
    assert meta_entry("a", 1.0) == MetaEntry("a", ValueType.FLOAT32, b"\0\0\x80?")
