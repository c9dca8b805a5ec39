"""Models in several files: found beside each other, in order, complete."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import numpy as np
import pytest

from stillhouse.checkpoints import open_gguf
from stillhouse.errors import BadCheckpoint
from tests.checkpoints.headers import entry, gguf_file, tensor
from tests.factories import write_gguf

VALUES = {f"t{i}": np.arange(8, dtype=np.float32) + i for i in range(5)}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Five tensors in parts of two."""
    return write_gguf(tmp_path / "m.gguf", {"who": "me"}, VALUES, max_tensors_per_part=2)


def write_part(folder: Path, number: int, *tensors: str, total: int = 2) -> Path:
    entries = [
        entry("split.no", 2, pack("<H", number)),
        entry("split.count", 2, pack("<H", 2)),
        entry("split.tensors.count", 5, pack("<i", total)),
    ]
    table = [tensor(name, (8,), offset=32 * i) for i, name in enumerate(tensors)]
    path = folder / f"p-{number + 1:05d}-of-00002.gguf"
    path.write_bytes(gguf_file(entries, table, data=32 * len(tensors)))
    return path


def test_any_part_opens_the_whole_model(first: Path) -> None:
    parts = sorted(first.parent.iterdir())
    assert [part.name for part in parts] == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    for part in parts:
        with open_gguf(part) as checkpoint:
            assert checkpoint.metadata["who"] == "me"
            assert checkpoint.file_bytes == sum(path.stat().st_size for path in parts)
            for name, values in VALUES.items():
                np.testing.assert_array_equal(checkpoint.tensors[name].decode(), values)


def test_a_missing_part_is_named(first: Path) -> None:
    first.with_name("m-00002-of-00003.gguf").unlink()
    with pytest.raises(BadCheckpoint, match=r"m-00002-of-00003\.gguf is missing beside"):
        open_gguf(first)


def test_a_part_under_another_name_is_refused(first: Path) -> None:
    alone = first.rename(first.with_name("renamed.gguf"))
    with pytest.raises(BadCheckpoint, match=r"renamed\.gguf: it was written as part 1 of 3"):
        open_gguf(alone)


def test_parts_in_the_wrong_order_are_refused(first: Path) -> None:
    second, spare = first.with_name("m-00002-of-00003.gguf"), first.with_name("spare")
    first.rename(spare)
    second.rename(first)
    spare.rename(second)
    with pytest.raises(BadCheckpoint, match=r"written as part 2 of 3, and found as part 1 of 3"):
        open_gguf(second)


def test_a_damaged_part_is_named(first: Path) -> None:
    second = first.with_name("m-00002-of-00003.gguf")
    second.write_bytes(second.read_bytes()[:-8])
    with pytest.raises(BadCheckpoint, match=r"^m-00002-of-00003\.gguf: it is truncated"):
        open_gguf(first)


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    write_part(tmp_path, 0, "a")
    with pytest.raises(BadCheckpoint, match="tensor 'a' is in an earlier part too"):
        open_gguf(write_part(tmp_path, 1, "a"))


def test_parts_must_hold_as_many_tensors_as_they_say(tmp_path: Path) -> None:
    write_part(tmp_path, 0, "a", total=3)
    with pytest.raises(BadCheckpoint, match="hold 2 tensors, not 3"):
        open_gguf(write_part(tmp_path, 1, "b", total=3))


@pytest.mark.parametrize("name", ["m-00000-of-00002.gguf", "m-00003-of-00002.gguf"])
def test_an_impossible_part_number_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gguf_file())
    with pytest.raises(BadCheckpoint, match="cannot be"):
        open_gguf(tmp_path / name)
