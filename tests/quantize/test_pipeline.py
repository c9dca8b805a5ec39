"""Writing whole models: sizes as planned, the same bytes after a kill, nothing after an error."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints import (
    TensorSpec,
    gguf_writer,
    meta_entry,
    open_gguf,
    read_entries,
    write_gguf,
)
from stillhouse.checkpoints.gguf_entries import replaced
from stillhouse.encodings import by_name
from stillhouse.errors import NotEnoughSpace, UsageError
from stillhouse.quantize import journal, pipeline
from stillhouse.quantize.plan import PlannedTensor
from stillhouse.quantize.source import open_source
from tests.checkpoints.folders import CONFIG, random_tensors, write_folder
from tests.factories import tiny_model
from tests.quantize.models import planned, quantized, tiny_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model")


class _StopAt:
    """Raises when a tensor begins, as Ctrl-C would."""

    def __init__(self, number: int, error: BaseException | None = None) -> None:
        self.number, self.error = number, error or KeyboardInterrupt()
        self.resumed_tensors = 0

    def resumed(self, num_tensors: int, num_bytes: int) -> None:
        assert num_bytes > 0
        self.resumed_tensors = num_tensors

    def tensor(self, number: int, planned: PlannedTensor) -> None:
        assert planned.spec.num_bytes > 0
        if number == self.number:
            raise self.error

    def wrote(self, num_bytes: int) -> None:
        assert num_bytes > 0


@pytest.fixture
def saves_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_SAVED_EVERY_BYTES", 1)


@pytest.mark.parametrize("how", ["q8_0", "f16", "bf16", "f32"])
def test_a_file_has_the_planned_size_and_formats(folder: Path, tmp_path: Path, how: str) -> None:
    source = open_source(folder)
    plan = planned(source, how)
    source.checkpoint.close()
    path = quantized(folder, tmp_path / "m.gguf", how)
    assert path.stat().st_size == plan.file_bytes
    with open_gguf(path) as checkpoint:
        found = {name: tensor.format_name for name, tensor in checkpoint.tensors.items()}
    assert found == {one.spec.name: one.spec.encoding.name for one in plan.tensors}


def test_what_has_its_format_already_is_copied(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "a.gguf", encoding="Q8_0", overrides={"attn_v.weight": "F16"})
    path = quantized(source, tmp_path / "b.gguf", "q8_0")
    with open_gguf(source) as before, open_gguf(path) as after:
        for name, tensor in before.tensors.items():
            if not name.endswith("attn_v.weight"):
                np.testing.assert_array_equal(after.tensors[name].raw, tensor.raw)  # type: ignore[union-attr]
        assert after.tensors["blk.0.attn_v.weight"].format_name == "Q8_0"


def test_floats_are_rounded_to_the_nearest(tmp_path: Path, folder: Path) -> None:
    for how, dtype in (("f16", np.float16), ("f32", np.float32)):
        with open_gguf(quantized(folder, tmp_path / f"{how}.gguf", how)) as checkpoint:
            found = checkpoint.tensors["blk.0.ffn_down.weight"].decode()
        config = json.loads((folder / "config.json").read_text())
        expected = random_tensors(config)["model.layers.0.mlp.down_proj.weight"]
        np.testing.assert_array_equal(found, expected.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("number", [0, 1, 9, 20])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    folder: Path, tmp_path: Path, number: int
) -> None:
    whole = quantized(folder, tmp_path / "whole.gguf", "q8_0").read_bytes()
    target = tmp_path / "m.gguf"
    with pytest.raises(KeyboardInterrupt):
        quantized(folder, target, "q8_0", progress=_StopAt(number))
    assert not target.exists()
    rest = _StopAt(-1)
    assert quantized(folder, target, "q8_0", progress=rest).read_bytes() == whole
    assert rest.resumed_tensors == number
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.gguf", "model", "whole.gguf"]


@pytest.mark.usefixtures("saves_everything")
def test_another_recipe_importance_source_or_version_begins_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.gguf"
    weights = {"blk.0.attn_q.weight": np.ones(64, np.float32)}

    def resumed(how: str, importance: dict[str, Any] | None = None) -> int:
        stop = _StopAt(9)
        with pytest.raises(KeyboardInterrupt):
            quantized(folder, target, how, importance=importance, progress=stop)
        return stop.resumed_tensors

    assert [resumed("q8_0"), resumed("q8_0")] == [0, 9]
    assert [resumed("f16"), resumed("f16")] == [0, 9]
    assert [resumed("q8_0", weights), resumed("q8_0", weights)] == [0, 9]
    weights = {"blk.0.attn_q.weight": np.full(64, 2, np.float32)}
    assert resumed("q8_0", weights) == 0
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert [resumed("q8_0", weights), resumed("q8_0", weights)] == [0, 9]
    monkeypatch.setattr(journal, "__version__", "99")
    assert resumed("q8_0", weights) == 0


@pytest.mark.usefixtures("saves_everything")
def test_a_partial_file_that_changed_is_kept_as_far_as_it_is_right(
    folder: Path, tmp_path: Path
) -> None:
    whole = quantized(folder, tmp_path / "whole.gguf", "q8_0").read_bytes()
    target = tmp_path / "m.gguf"
    with pytest.raises(KeyboardInterrupt):
        quantized(folder, target, "q8_0", progress=_StopAt(9))
    source = open_source(folder)
    plan = planned(source, "q8_0")
    source.checkpoint.close()
    partial = gguf_writer.partial_path(target)
    content = bytearray(partial.read_bytes())
    content[plan.layout.starts[5] + 1] ^= 1
    partial.write_bytes(content)
    rest = _StopAt(-1)
    assert quantized(folder, target, "q8_0", progress=rest).read_bytes() == whole
    assert rest.resumed_tensors == 5


@pytest.mark.usefixtures("saves_everything")
@pytest.mark.parametrize("content", ["", "{}", "[]", '{"identity": 3}', "\0"])
def test_a_journal_that_says_nothing_begins_anew(
    folder: Path, tmp_path: Path, content: str
) -> None:
    target = tmp_path / "m.gguf"
    with pytest.raises(KeyboardInterrupt):
        quantized(folder, target, "q8_0", progress=_StopAt(9))
    (tmp_path / "m.gguf.part.json").write_text(content)
    rest = _StopAt(-1)
    quantized(folder, target, "q8_0", progress=rest)
    assert rest.resumed_tensors == 0


CHILD = """
    import sys, time
    from pathlib import Path
    from stillhouse.quantize import pipeline
    from stillhouse.quantize.pipeline import QUIET
    from stillhouse.quantize.recipes import recipe
    from stillhouse.quantize.source import open_source
    from stillhouse.quantize.plan import make_plan

    pipeline._SAVED_EVERY_BYTES = 1
    class Slow:
        resumed = QUIET.resumed
        wrote = QUIET.wrote
        def tensor(self, number, planned):
            print(number, flush=True)
            time.sleep(0.05)

    source = open_source(Path(sys.argv[1]))
    chosen = recipe("q8_0")
    plan = make_plan(source, chosen.encodings(source.config.shape, imatrix=False),
                     name="q8_0", file_type=chosen.file_type)
    pipeline.quantize(source, plan, Path(sys.argv[2]), threads=2, progress=Slow())
"""


def test_a_killed_run_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    whole = quantized(folder, tmp_path / "whole.gguf", "q8_0").read_bytes()
    target = tmp_path / "m.gguf"
    script = textwrap.dedent(CHILD)
    command = (sys.executable, "-c", script, str(folder), str(target))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == "7":
                child.send_signal(signal.SIGKILL)
                break
    assert not target.exists()
    rest = _StopAt(-1)
    assert quantized(folder, target, "q8_0", progress=rest).read_bytes() == whole
    assert rest.resumed_tensors in (6, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("how", ["q8_0", "bf16", "f32"])
def test_weights_that_are_not_finite_name_the_tensor_and_leave_no_file(
    tmp_path: Path, value: float, how: str
) -> None:
    tensors = random_tensors(CONFIG)
    tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = value
    folder = write_folder(tmp_path / "model", tensors=tensors)
    with pytest.raises(UsageError, match=r"blk\.0\.ffn_up\.weight holds numbers .* not finite"):
        quantized(folder, tmp_path / "m.gguf", how)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_numbers_too_large_for_f16_are_refused(tmp_path: Path) -> None:
    tensors = random_tensors(CONFIG)
    tensors["lm_head.weight"][3, 5] = 70_000
    folder = write_folder(tmp_path / "model", tensors=tensors)
    with pytest.raises(
        UsageError, match=r"output\.weight holds 70000, and F16 numbers up to 65504"
    ):
        quantized(folder, tmp_path / "m.gguf", "f16")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_too_little_space_is_said_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(pipeline.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(NotEnoughSpace, match=r"needs \d+ kB, and 1\.00 kB are free"):
        quantized(folder, tmp_path / "m.gguf", "q8_0")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("saves_everything")
def test_a_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantized(folder, tmp_path / "whole.gguf", "q8_0").read_bytes()
    target = tmp_path / "m.gguf"
    calls = iter(range(100))
    sync = os.fsync

    def full(descriptor: int) -> None:
        if next(calls) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(gguf_writer.os, "fsync", full)
        with pytest.raises(NotEnoughSpace, match=r"disk filled up while m\.gguf\.part"):
            quantized(folder, target, "q8_0")
    assert not target.exists()
    rest = _StopAt(-1)
    assert quantized(folder, target, "q8_0", progress=rest).read_bytes() == whole
    assert rest.resumed_tensors > 0


def test_a_file_that_is_there_stays_without_force(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    target.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        quantized(folder, target, "q8_0")
    assert target.read_bytes() == b"mine"
    with open_gguf(quantized(folder, target, "q8_0", force=True)) as checkpoint:
        assert checkpoint.tensors


def test_a_source_is_not_written_over(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "a.gguf")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is what is read"):
        quantized(path, path, "q8_0", force=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"), [("", "is a folder"), ("no/where.gguf", "there is no folder")]
)
def test_a_place_that_cannot_be_written_is_one_line(
    folder: Path, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        quantized(folder, tmp_path / name, "q8_0")


@pytest.mark.parametrize("how", ["iq2_xxs", "iq1_s"])
def test_two_bits_without_importance_are_refused(tmp_path: Path, how: str) -> None:
    source = open_source(tiny_model(tmp_path / "a.gguf"))
    with pytest.raises(UsageError, match=r"without an importance matrix|not written") as caught:
        planned(source, how)
    assert "\n" not in str(caught.value)
    source.checkpoint.close()


MEMORY = """
    import resource, sys
    from pathlib import Path
    from tests.quantize.models import quantized
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    quantized(Path(sys.argv[1]), Path(sys.argv[2]), "q8_0")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_tensors(tmp_path: Path) -> None:
    """A table of 100 million numbers: 400 MB decoded at once, 200 MB as BF16."""
    rows = 400_000
    small = tiny_model(tmp_path / "small.gguf", encoding="F32", layers=1, tied=True)
    vocabulary = meta_entry("tokenizer.ggml.tokens", [])  # none: the size is the architecture's
    size = meta_entry("qwen2.vocab_size", rows)
    specs, data = [], []
    with open_gguf(small) as checkpoint:
        for name, tensor in checkpoint.tensors.items():
            is_table = name == "token_embd.weight"
            shape = (rows, tensor.shape[1]) if is_table else tensor.shape
            specs.append(TensorSpec(name, shape, by_name("BF16" if is_table else "F32")))
            data.append(np.zeros(shape, np.uint16) if is_table else tensor.decode())
    large = tmp_path / "large.gguf"
    write_gguf(large, replaced(read_entries(small), vocabulary, size), specs, data)
    del data
    script = textwrap.dedent(MEMORY)
    command = (sys.executable, "-c", script, str(large), str(tmp_path / "out.gguf"))
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 350_000  # KiB: a piece of 64 MiB in its stages, compiled code, the mapping
