"""What the writer writes, the safetensors package and our own reader read."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from stillhouse.checkpoints.safetensors import read_safetensors_header
from stillhouse.checkpoints.safetensors_writer import NewTensor, SafetensorsWriter
from stillhouse.errors import NotEnoughSpace

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([[1, -2], [3, -4], [5, 6]], np.int8),
    "c": np.array([7, 8], np.int64),
}
TENSORS = [NewTensor("a", "F32", (2, 3)), NewTensor("b", "I8", (3, 2)), NewTensor("c", "I64", (2,))]


def written(folder: Path, names: str, max_shard_bytes: int = 10**9) -> list[Path]:
    folder.mkdir(exist_ok=True)
    with SafetensorsWriter(folder, TENSORS, max_shard_bytes=max_shard_bytes) as writer:
        writer.open()
        for name in names:
            writer.write(name, ARRAYS[name])
        writer.sync()
    return sorted(folder.glob("*.safetensors"))


def test_the_safetensors_package_reads_what_is_written(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "abc")
    found = safetensors.numpy.load_file(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    assert [entry.name for entry in read_safetensors_header(path.read_bytes())] == ["a", "b", "c"]


def test_the_order_of_writing_and_an_interruption_change_no_byte(tmp_path: Path) -> None:
    (whole,) = written(tmp_path / "whole", "abc")
    written(tmp_path / "twice", "c")
    (resumed,) = written(tmp_path / "twice", "ba")
    assert resumed.read_bytes() == whole.read_bytes()


def test_files_are_cut_where_the_next_tensor_would_be_too_much(tmp_path: Path) -> None:
    paths = written(tmp_path, "abc", max_shard_bytes=30)
    assert [path.name for path in paths] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 24 + 6 + 16
    assert index["weight_map"] == {"a": paths[0].name, "b": paths[0].name, "c": paths[1].name}
    found = safetensors.numpy.load_file(paths[1])
    np.testing.assert_array_equal(found["c"], ARRAYS["c"])


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 90, 10))
    with pytest.raises(NotEnoughSpace, match="and 10 B are free"):
        written(tmp_path, "")
    assert not list(tmp_path.iterdir())


def test_a_tensor_can_be_written_in_pieces(tmp_path: Path) -> None:
    (whole,) = written(tmp_path / "whole", "abc")
    written(tmp_path / "pieces", "ac")
    with SafetensorsWriter(tmp_path / "pieces", TENSORS) as writer:
        writer.open()
        writer.write_rows("b", 1, ARRAYS["b"][1:])
        writer.write_rows("b", 0, ARRAYS["b"][:1])
    assert (tmp_path / "pieces/model.safetensors").read_bytes() == whole.read_bytes()
