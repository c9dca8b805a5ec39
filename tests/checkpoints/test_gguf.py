"""Opening well-formed GGUF models: what was written is what is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from stillhouse.checkpoints import open_gguf, read_gguf_metadata
from stillhouse.encodings import ENCODINGS, Encoding
from stillhouse.errors import BadCheckpoint, ModelNotFound
from tests.checkpoints.headers import array, entry, gguf_file, tensor
from tests.factories import Packed, random_blocks, tiny_model, write_gguf


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    metadata = {
        "general.architecture": "llama",
        "text": "grüße 🙂\n",
        "yes": True,
        "small": 7,
        "negative": -7,
        "large": 1 << 40,
        "real": 0.5,
        "texts": ["", "a", "é", "🙂"],
        "numbers": [1, 2, 3],
    }
    tensors = {
        "matrix": rng.normal(size=(6, 32)).astype(np.float32),
        "vector": rng.normal(size=5).astype(np.float32),
        "cube": rng.normal(size=(2, 3, 4)).astype(np.float16),
    }
    return write_gguf(tmp_path / "small.gguf", metadata, tensors)


def test_metadata_come_back_with_their_types(small: Path) -> None:
    with open_gguf(small) as checkpoint:
        metadata = checkpoint.metadata
        assert metadata["text"] == "grüße 🙂\n"
        assert metadata["yes"] is True
        assert (metadata["small"], metadata["negative"], metadata["large"]) == (7, -7, 1 << 40)
        assert metadata["real"] == 0.5
        assert metadata["texts"] == ["", "a", "é", "🙂"]
        assert metadata["texts"] is metadata["texts"]
        numbers = metadata["numbers"]
        assert isinstance(numbers, np.ndarray)
        assert numbers.tolist() == [1, 2, 3]
        assert "text" in metadata
        assert metadata.get("none") is None
        assert len(metadata) == len(list(metadata))


def test_metadata_stay_good_after_closing(small: Path) -> None:
    with open_gguf(small) as checkpoint:
        metadata = checkpoint.metadata
    assert metadata["texts"] == ["", "a", "é", "🙂"]


def test_tensors_come_back_in_numpys_order_of_dimensions(small: Path) -> None:
    rng = np.random.default_rng(1)
    with open_gguf(small) as checkpoint:
        assert list(checkpoint.tensors) == ["matrix", "vector", "cube"]
        matrix = checkpoint.tensors["matrix"]
        np.testing.assert_array_equal(matrix.decode(), rng.normal(size=(6, 32)).astype(np.float32))
        assert checkpoint.tensors["vector"].decode().shape == (5,)
        assert checkpoint.tensors["vector"].raw.shape == (1, 20)
        assert checkpoint.tensors["cube"].decode().shape == (2, 3, 4)
        assert checkpoint.tensors["cube"].raw.shape == (6, 8)
        assert checkpoint.file_bytes == small.stat().st_size


@pytest.mark.parametrize("encoding", ENCODINGS, ids=repr)
def test_a_tensor_of_any_type_is_read_as_its_blocks_decode(
    encoding: Encoding, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    if encoding.block_size > 1:
        blocks = random_blocks(encoding, 6, 1.0, rng)
    else:
        blocks = np.full((3 * 256, encoding.block_bytes), 1, np.uint8)
    packed = Packed(encoding.name, blocks.reshape(3, -1))
    path = write_gguf(tmp_path / "one.gguf", {}, {"w": packed})
    with open_gguf(path) as checkpoint:
        weights = checkpoint.tensors["w"]
        assert weights.encoding is encoding
        assert weights.num_bytes == blocks.size
        np.testing.assert_array_equal(weights.raw, packed.raw)
        values = encoding.decode(blocks).reshape(3, -1)
        np.testing.assert_array_equal(weights.decode(), values)
        np.testing.assert_array_equal(weights.decode_rows([2, 0, 2]), values[[2, 0, 2]])


def test_no_rows_decode_to_no_rows(small: Path) -> None:
    with open_gguf(small) as checkpoint:
        none = np.array([], np.int32)
        assert checkpoint.tensors["matrix"].decode_rows(none).shape == (0, 32)


def test_a_tensor_larger_than_a_chunk_decodes_whole(tmp_path: Path) -> None:
    blocks = random_blocks(ENCODINGS[8], 20_000, 1.0, np.random.default_rng(3))
    path = write_gguf(tmp_path / "big.gguf", {}, {"w": Packed("Q4_0", blocks.reshape(100, -1))})
    with open_gguf(path) as checkpoint:
        expected = ENCODINGS[8].decode(blocks).reshape(100, -1)
        np.testing.assert_array_equal(checkpoint.tensors["w"].decode(), expected)


def test_raw_bytes_are_a_read_only_view_that_outlives_the_checkpoint(small: Path) -> None:
    with open_gguf(small) as checkpoint:
        raw = checkpoint.tensors["matrix"].raw
        assert not raw.flags.owndata
        assert not raw.flags.writeable
    assert raw.view(np.float32).shape == (6, 32)


def test_released_pages_come_back_from_the_file(small: Path) -> None:
    with open_gguf(small) as checkpoint:
        for weights in checkpoint.tensors.values():
            before = weights.decode()
            weights.release()
            np.testing.assert_array_equal(weights.decode(), before)


def test_other_weights_of_the_same_size_have_another_fingerprint(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((256, 4096)).astype(np.float32)
    trained = weights + np.float32(1e-3)
    prints = []
    for name, values in (("a", weights), ("b", weights), ("c", trained)):
        with open_gguf(write_gguf(tmp_path / f"{name}.gguf", {}, {"w": values})) as checkpoint:
            prints.append(checkpoint.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 16


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_releasing_a_tensor_takes_it_out_of_resident_memory(tmp_path: Path) -> None:
    values = np.ones((1024, 16_384), np.float32)  # 64 MiB
    path = write_gguf(tmp_path / "big.gguf", {}, {"w": values})
    with open_gguf(path) as checkpoint:
        weights = checkpoint.tensors["w"]
        assert int(weights.raw.max()) > 0
        touched = _resident_bytes()
        weights.release()
        assert touched - _resident_bytes() > 48 << 20


def test_version_2_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "old.gguf"
    path.write_bytes(gguf_file([entry("a", 0, b"\5")], [tensor("t", (8,))], data=32, version=2))
    with open_gguf(path) as checkpoint:
        assert checkpoint.metadata["a"] == 5
        assert checkpoint.tensors["t"].shape == (8,)


def test_truth_values_are_read_alone_and_in_arrays(tmp_path: Path) -> None:
    path = tmp_path / "bools.gguf"
    path.write_bytes(gguf_file([entry("a", 7, b"\0"), array("b", 7, 2, b"\1\0")]))
    metadata = read_gguf_metadata(path)
    assert metadata["a"] is False
    flags = metadata["b"]
    assert isinstance(flags, np.ndarray)
    assert flags.dtype == np.bool_
    assert flags.tolist() == [True, False]


@pytest.mark.parametrize("alignment", [1, 8, 4096])
def test_any_power_of_two_aligns_the_data(alignment: int, tmp_path: Path) -> None:
    tensors = {name: np.arange(5, dtype=np.float32) + i for i, name in enumerate("abc")}
    path = write_gguf(tmp_path / "m.gguf", {"general.alignment": alignment}, tensors)
    with open_gguf(path) as checkpoint:
        for name, values in tensors.items():
            np.testing.assert_array_equal(checkpoint.tensors[name].decode(), values)


def test_the_metadata_of_half_a_download_can_be_read(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:50_000])
    assert read_gguf_metadata(path)["general.architecture"] == "qwen2"
    with pytest.raises(BadCheckpoint, match=r"truncated: tensor 'token_embd\.weight' ends at byte"):
        open_gguf(path)


def test_a_file_without_tensors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(gguf_file([entry("a", 0, b"\5")]))
    with open_gguf(path) as checkpoint:
        assert not checkpoint.tensors


def test_a_missing_file_is_a_model_that_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no such file"):
        open_gguf(tmp_path / "none.gguf")
    with pytest.raises(ModelNotFound, match="no such file"):
        open_gguf(tmp_path / "none-00001-of-00002.gguf")


def test_what_is_not_a_file_of_some_bytes_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.gguf"
    empty.touch()
    with pytest.raises(BadCheckpoint, match="is empty"):
        open_gguf(empty)
    with pytest.raises(BadCheckpoint, match="not a regular file"):
        open_gguf(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(BadCheckpoint, match="not a regular file"):
        open_gguf(tmp_path / "pipe.gguf")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
