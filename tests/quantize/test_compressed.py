"""Folders that are written and opened again: the numbers that were meant, the same after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.checkpoints import (
    Checkpoint,
    CompressedTensor,
    open_checkpoint,
    open_folder,
    open_gguf,
)
from stillhouse.encodings.plain import round_to
from stillhouse.errors import BadCheckpoint, UsageError
from stillhouse.models.config import ModelConfig
from stillhouse.quantize.compressed import make_folder
from stillhouse.quantize.folder_schemes import SCHEMES, folder_scheme
from stillhouse.quantize.scales import nearest, nearest_float8
from stillhouse.text import Tokenizer
from tests.factories import tiny_model
from tests.reference.decoder import log_probabilities, logits

RNG = np.random.default_rng(3)
WINDOWS = RNG.integers(0, 300, (8, 64)).astype(np.int32)
HELD_OUT = RNG.integers(0, 300, 24).tolist()
QUERY = "blk.1.attn_q.weight"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoint]:
    path = tmp_path_factory.mktemp("llama") / "m.gguf"
    # Embeddings of few directions, and of some large columns, as trained models have them.
    table = RNG.normal(0, 1, (320, 24)) @ RNG.normal(0, 0.01, (24, 128))
    table[:, ::41] *= 12
    tiny_model(
        path,
        architecture="llama",
        encoding="F32",
        hidden=128,
        extra_tensors={"token_embd.weight": table.astype(np.float32)},
    )
    with open_gguf(path) as opened:
        yield opened


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_converted_model_computes_what_its_source_does(
    tmp_path: Path, architecture: str, tied: bool
) -> None:
    path = tiny_model(
        tmp_path / "m.gguf", architecture=architecture, encoding="F32", tied=tied, hidden=128
    )
    with open_gguf(path) as source:
        make_folder(source, tmp_path / "out", folder_scheme("bf16"))
        expected = logits(source, HELD_OUT, rounded=False)
        config = ModelConfig.from_metadata(source.metadata, tied_embeddings=tied)
        tokenizer = Tokenizer.from_metadata(source.metadata)
    with open_folder(tmp_path / "out") as folder:
        found = logits(folder, HELD_OUT, rounded=False)
        written = ModelConfig.from_metadata(
            folder.metadata, tied_embeddings="output.weight" not in folder.tensors
        )
        again = Tokenizer.from_metadata(folder.metadata)
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-2
    assert written.rms_eps == pytest.approx(config.rms_eps)
    assert replace(written, rope=config.rope, rms_eps=config.rms_eps) == config
    assert written.rope == replace(config.rope, kind="half")
    assert again.stop_ids == tokenizer.stop_ids
    assert again.encode("the thing") == tokenizer.encode("the thing")


@pytest.mark.parametrize(
    ("name", "label"),
    [("fp8", "FP8 channel"), ("w8a8-rtn", "INT8 channel"), ("w4a16-rtn", "INT4 group 64")],
)
def test_what_is_read_back_is_codes_times_scales(
    tmp_path: Path, llama: Checkpoint, name: str, label: str
) -> None:
    scheme = folder_scheme(name, group_columns=64 if "w4" in name else None)
    make_folder(llama, tmp_path / "bf16", folder_scheme("bf16"))
    with open_folder(tmp_path / "bf16") as source:  # rows as folders have them
        make_folder(source, tmp_path / "out", scheme)
        values = source.tensors[QUERY].decode()
    meant = (
        nearest_float8(values)
        if name == "fp8"
        else nearest(values, scheme.bits, scheme.group_columns)
    )
    with open_folder(tmp_path / "out") as folder:
        found = folder.tensors[QUERY]
        assert isinstance(found, CompressedTensor)
        assert found.format_name == label
        np.testing.assert_array_equal(found.rows(0, 8).codes, meant.codes[:8])
        np.testing.assert_array_equal(found.decode(), round_to("BF16", meant.values()))
        assert found.scheme.int8_activations is (name == "w8a8-rtn")
        assert folder.tensors["output.weight"].format_name == "BF16"


def divergence(source: Checkpoint, folder: Path) -> float:
    """KL divergence of the folder's predictions from the source's, activations rounded too."""
    with open_folder(folder) as opened:
        theirs = log_probabilities(logits(opened, HELD_OUT, rounded=True))
    ours = log_probabilities(logits(source, HELD_OUT, rounded=False))
    return float((np.exp(ours) * (ours - theirs)).sum(axis=1).mean())


@pytest.mark.parametrize(("name", "share"), [("w4a16", 0.7), ("w8a8", 0.7)])
def test_gptq_diverges_less_than_rounding_to_nearest(
    tmp_path: Path, llama: Checkpoint, name: str, share: float
) -> None:
    group = 64 if name == "w4a16" else None
    make_folder(llama, tmp_path / "gptq", folder_scheme(name, group_columns=group), windows=WINDOWS)
    make_folder(llama, tmp_path / "rtn", folder_scheme(f"{name}-rtn", group_columns=group))
    found = divergence(llama, tmp_path / "gptq")
    assert found < share * divergence(llama, tmp_path / "rtn")
    assert found > 0


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "m.gguf", encoding="F32", hidden=128)
    np.save(tmp_path / "windows.npy", WINDOWS)
    script = dedent(
        """
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from stillhouse.checkpoints import open_gguf
        from stillhouse.quantize.compressed import make_folder
        from stillhouse.quantize.folder_schemes import SCHEMES

        def progress(done, total):
            if done == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        windows = np.load(sys.argv[2])
        with open_gguf(Path(sys.argv[1])) as source:
            make_folder(
                source, Path(sys.argv[3]), SCHEMES["w8a8"], windows=windows, progress=progress
            )
        """
    )
    arguments = [path, tmp_path / "windows.npy", tmp_path / "killed"]
    run = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=False)
    assert run.returncode == -9
    assert not (tmp_path / "killed").exists()
    assert json.loads((tmp_path / "killed.partial/finished.json").read_text())["layers"] == 1
    told: list[int] = []
    with open_gguf(path) as source:
        for name in ("whole", "killed"):
            make_folder(
                source,
                tmp_path / name,
                SCHEMES["w8a8"],
                windows=WINDOWS,
                progress=lambda done, _: told.append(done),
            )
    assert told == [0, 1, 2, 1, 2]
    assert not (tmp_path / "killed.partial").exists()
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert sorted(file.name for file in (tmp_path / "killed").iterdir()) == names
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class _Stop(Exception):
    pass


def _stop_at_1(done: int, _total: int) -> None:
    if done == 1:
        raise _Stop


def test_an_interrupted_run_of_other_settings_is_not_gone_on_with(
    tmp_path: Path, llama: Checkpoint
) -> None:
    with pytest.raises(_Stop):
        make_folder(llama, tmp_path / "out", folder_scheme("fp8"), progress=_stop_at_1)
    with pytest.raises(UsageError, match="an interrupted run of other settings"):
        make_folder(llama, tmp_path / "out", folder_scheme("w8a8-rtn"))


def test_what_cannot_be_made_is_one_line_and_no_folder(tmp_path: Path, llama: Checkpoint) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="looks at what the model computes from a text") as error:
        make_folder(llama, out, SCHEMES["w4a16"])
    assert error.value.hint is not None
    assert "w4a16-rtn" in error.value.hint
    odd = tiny_model(tmp_path / "odd.gguf", encoding="F32", hidden=192, heads=3, kv_heads=1)
    with (
        open_gguf(odd) as checkpoint,
        pytest.raises(UsageError, match="192 is no multiple") as error,
    ):
        make_folder(checkpoint, out, SCHEMES["w4a16-rtn"])
    assert error.value.hint == "--group 64 fits all of them"
    with pytest.raises(UsageError, match="w8a8 has no groups"):
        folder_scheme("w8a8", group_columns=64)
    with pytest.raises(UsageError, match="'w3a16' is no recipe for a folder"):
        folder_scheme("w3a16")
    assert not list(tmp_path.glob("out*"))


def test_a_weight_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    bad = np.full((128, 128), np.nan, np.float32)
    path = tiny_model(
        tmp_path / "m.gguf", encoding="F32", hidden=128, extra_tensors={"blk.1.attn_q.weight": bad}
    )
    with open_gguf(path) as checkpoint, pytest.raises(BadCheckpoint, match=r"blk.1.attn_q.weight"):
        make_folder(checkpoint, tmp_path / "out", folder_scheme("bf16"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path, llama: Checkpoint) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        make_folder(llama, tmp_path / "out", folder_scheme("bf16"))


def test_llama_3s_divisors_become_its_rule(tmp_path: Path) -> None:
    scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}
    angles = 10000.0 ** (-np.arange(32) / 32)
    turned = 8192 * angles / (2 * np.pi)
    fast = np.clip((turned - 1) / 3, 0, 1)
    factors: npt.NDArray[np.float32] = (1 / (fast + (1 - fast) / 8)).astype(np.float32)
    path = tiny_model(
        tmp_path / "m.gguf",
        architecture="llama",
        encoding="F32",
        extra_tensors={"rope_freqs.weight": factors},
    )
    with open_gguf(path) as checkpoint:
        make_folder(checkpoint, tmp_path / "out", folder_scheme("bf16"))
        expected = logits(checkpoint, HELD_OUT, rounded=False)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert scaled.items() <= config["rope_scaling"].items()
    with open_checkpoint(tmp_path / "out") as folder:
        found = logits(folder, HELD_OUT, rounded=False)
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-2
