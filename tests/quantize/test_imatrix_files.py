"""llama.cpp's files of importance matrices: there and back, read by others, and broken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from struct import pack

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.errors import BadCheckpoint, StillhouseError
from stillhouse.quantize.imatrix_files import read_imatrix, write_imatrix
from stillhouse.quantize.importance import ImportanceMatrix, Inputs


def example(seed: int = 0) -> ImportanceMatrix:
    rng = np.random.default_rng(seed)
    columns = {"blk.0.attn_q.weight": 64, "blk.1.ffn_down.weight": 96, "output.weight": 64}
    return ImportanceMatrix(
        inputs={
            name: Inputs(rng.exponential(1, size).astype(np.float32), 1024)
            for name, size in columns.items()
        },
        num_windows=2,
        window_tokens=512,
        texts=("Die Gänse.txt",),
    )


@pytest.mark.parametrize("name", ["m.gguf", "m.imatrix", "m.dat"])
def test_a_file_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    written, path = example(), tmp_path / name
    write_imatrix(path, written)
    found = read_imatrix(path)
    assert (found.num_windows, found.window_tokens, found.texts) == (2, 512, written.texts)
    assert found.inputs.keys() == written.inputs.keys()
    for one, inputs in written.inputs.items():
        assert found.inputs[one].rows == inputs.rows
        np.testing.assert_allclose(found.weights[one], inputs.mean_squares, rtol=3e-7)
    facts = found.facts(name)
    assert (facts.num_entries, facts.num_chunks, facts.dataset) == (3, 2, "Die Gänse.txt")
    assert list(tmp_path.iterdir()) == [path]


def test_the_gguf_package_reads_sums_and_counts(tmp_path: Path) -> None:
    matrix, path = example(), tmp_path / "m.gguf"
    write_imatrix(path, matrix)
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.chunk_count"].contents() == 2
    assert reader.fields["imatrix.chunk_size"].types == [gguf.GGUFValueType.UINT32]
    assert reader.fields["imatrix.datasets"].contents() == ["Die Gänse.txt"]
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    for name, inputs in matrix.inputs.items():
        assert tensors[f"{name}.counts"] == [1024]
        np.testing.assert_allclose(
            tensors[f"{name}.in_sum2"], inputs.mean_squares * 1024.0, rtol=2e-7
        )


def test_the_older_form_has_the_bytes_that_llama_cpp_writes(tmp_path: Path) -> None:
    values = np.array([0.5, 2.0], np.float32)
    matrix = ImportanceMatrix({"a": Inputs(values, 1024)}, num_windows=2, texts=("t",))
    write_imatrix(tmp_path / "m.dat", matrix)
    by_hand = pack("<ii1sii2fii1s", 1, 1, b"a", 2, 2, 1.0, 4.0, 2, 1, b"t")
    assert (tmp_path / "m.dat").read_bytes() == by_hand
    # Still older ones end behind the entries.
    (tmp_path / "m.dat").write_bytes(by_hand[:-9])
    found = read_imatrix(tmp_path / "m.dat")
    assert (found.weights["a"] == values).all()
    assert (found.num_windows, found.texts) == (2, ())


def test_columns_that_no_row_came_by_weigh_alike(tmp_path: Path) -> None:
    path = write_with_gguf(
        tmp_path, {"a.in_sum2": np.zeros(4, "f4"), "a.counts": np.zeros(1, "f4")}
    )
    inputs = read_imatrix(path).inputs["a"]
    assert inputs.rows == 0
    assert (inputs.mean_squares == 1).all()


def write_with_gguf(
    folder: Path, tensors: dict[str, np.ndarray], kind: str = "imatrix", size: int = 512
) -> Path:
    writer = gguf.GGUFWriter(folder / "m.gguf", "")
    writer.add_string("general.type", kind)
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", size)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "m.gguf"


ONE = np.ones(1, "f4")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a.in_sum2": np.ones(4, "f4")}, "'a' has sums and no counts"),
        ({"a.counts": ONE}, "it holds no matrix"),
        ({"a.in_sum2": np.ones(4, "f2"), "a.counts": ONE}, "'a.in_sum2' is F16, not F32"),
        ({"a.in_sum2": -np.ones(4, "f4"), "a.counts": ONE}, "not finite, or negative"),
        ({"a.in_sum2": np.full(4, np.nan, "f4"), "a.counts": ONE}, "not finite, or negative"),
        ({"a.in_sum2": np.ones(4, "f4"), "a.counts": ONE / 2}, "'a' has the count 0.5"),
        ({"a.in_sum2": np.ones((2, 4), "f4"), "a.counts": np.ones((2, 1), "f4")}, "experts"),
    ],
)
def test_a_gguf_that_holds_none_is_refused_in_a_line(
    tmp_path: Path, tensors: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        read_imatrix(write_with_gguf(tmp_path, tensors))
    assert caught.value.message.startswith("m.gguf: ")


def test_a_model_is_no_importance_matrix(tmp_path: Path) -> None:
    path = write_with_gguf(tmp_path, {"a.in_sum2": ONE, "a.counts": ONE}, kind="model")
    with pytest.raises(BadCheckpoint, match=r"no importance matrix: its general\.type is 'model'"):
        read_imatrix(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    for name in ("m.gguf", "m.dat"):
        write_imatrix(folder / name, example())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["m.gguf", "m.dat"]), st.data())
def test_damaged_files_are_read_or_refused_in_a_line(
    tmp_path: Path, whole: dict[str, bytes], name: str, data: st.DataObject
) -> None:
    raw = bytearray(whole[name])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    with suppress(StillhouseError):
        found = read_imatrix(path)
        assert all(np.isfinite(weights).all() for weights in found.weights.values())
