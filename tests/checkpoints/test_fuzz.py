"""Mutated and made-up files: each opens, or gives one line; nothing else ever happens."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.checkpoints import open_gguf
from stillhouse.errors import BadCheckpoint
from tests.checkpoints.headers import array, entry, gguf_file, tensor, text
from tests.factories import write_gguf

QUICK = settings(
    max_examples=200,
    deadline=1000,  # ms: the rule for a single file
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KEYS = st.sampled_from(["a", "b", "general.alignment", "split.no", "split.count"])
KINDS = st.integers(0, 13) | st.integers(0, 2**32 - 1)
SIZES = st.integers(0, 40) | st.sampled_from([2**31, 2**32 - 1, 2**63, 2**64 - 1])
ENTRIES = st.one_of(
    st.builds(entry, KEYS, KINDS, st.binary(max_size=24)),
    st.builds(entry, KEYS, st.just(8), st.binary(max_size=24).map(text)),
    st.builds(array, KEYS, KINDS, SIZES, st.binary(max_size=48)),
)
TENSORS = st.builds(
    tensor,
    st.text(max_size=3),
    st.lists(SIZES | st.sampled_from([32, 256]), max_size=5).map(tuple),
    st.integers(0, 45),
    st.integers(0, 8).map(lambda i: 32 * i) | SIZES,
)


@pytest.fixture(scope="module")
def seed_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    metadata = {"name": "seed", "texts": ["a", "bc", "é"], "numbers": [1, 2], "on": True}
    tensors = {"m": np.ones((2, 32), np.float32), "v": np.ones(8, np.float16)}
    return write_gguf(tmp_path_factory.mktemp("seed") / "seed.gguf", metadata, tensors).read_bytes()


@QUICK
@given(st.lists(ENTRIES, max_size=3), st.lists(TENSORS, max_size=3), st.integers(0, 2048))
def test_made_up_headers_open_or_give_one_line(
    tmp_path: Path, entries: list[bytes], tensors: list[bytes], data: int
) -> None:
    check(tmp_path, gguf_file(entries, tensors, data=data))


@QUICK
@given(st.data())
def test_mutated_files_open_or_give_one_line(
    tmp_path: Path, seed_bytes: bytes, data: st.DataObject
) -> None:
    content = bytearray(seed_bytes)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=4) | SIZES.map(lambda n: pack("<Q", n)))
        content[position : position + len(patch)] = patch
    check(tmp_path, bytes(content[: data.draw(st.integers(0, len(content)))]))
    check(tmp_path, bytes(content))


def check(folder: Path, content: bytes) -> None:
    path = folder / "model.gguf"
    path.write_bytes(content)
    try:
        with open_gguf(path) as checkpoint:
            list(checkpoint.metadata.values())
            for weights in checkpoint.tensors.values():
                assert weights.decode().shape == weights.shape
    except BadCheckpoint as error:
        line = f"{error.message} {error.hint}"
        assert line.isprintable()
