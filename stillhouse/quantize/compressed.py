"""Making a folder that vLLM and transformers load, layer by layer, from any checkpoint.

It grows under the name NAME.partial and gets its own when it is whole. Behind every layer all that
the rest depends on is on the disk: the tensors in their places, and what the layers so far make of
the calibration text. So a run that was killed goes on behind its last layer, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse import __version__
from stillhouse.checkpoints import Checkpoint
from stillhouse.checkpoints.safetensors_writer import SafetensorsWriter
from stillhouse.errors import NotEnoughSpace, UsageError
from stillhouse.models.rope import RopeTable
from stillhouse.models.tensors import ROPE_FACTORS
from stillhouse.quantize.folder_config import folder_files
from stillhouse.quantize.folder_schemes import FolderScheme, check_columns
from stillhouse.quantize.folder_tensors import FolderTensors, write_floats, write_layer
from stillhouse.quantize.layer_rounding import (
    MATRICES,
    Calibration,
    round_layer,
    round_without_text,
)
from stillhouse.quantize.scales import Floats
from stillhouse.units import format_bytes

Progress = Callable[[int, int], None]
Windows = npt.NDArray[np.int32]

_JOURNAL = "finished.json"
_ROOM = "attention.f32"


def make_folder(
    checkpoint: Checkpoint,
    target: Path,
    scheme: FolderScheme,
    *,
    windows: Windows | None = None,
    identity: str = "",
    progress: Progress | None = None,
) -> Path:
    """Write the model folder ``target``; whole, or not at all.

    Args:
        windows: int32 (samples, tokens), what schemes that look at a text read.
        identity: what tells this source from others; an interrupted run of another one is refused.
        progress: told how many layers are finished, of how many; those of an earlier run too.

    Raises UsageError, BadCheckpoint and NotEnoughSpace. An interrupted run leaves TARGET.partial,
    from which the next one with the same settings goes on.
    """
    if scheme.needs_text and windows is None:
        raise UsageError(
            f"{scheme.name} looks at what the model computes from a text, and none is given",
            hint=f"give one with --text FILE, or take {scheme.name}-rtn, which needs none",
        )
    if target.exists():
        raise UsageError(f"{target} exists already", hint="remove it, or give another name")
    tensors = FolderTensors(checkpoint)
    if scheme.is_quantized:
        check_columns(scheme, tensors.matrix_columns())
    files = folder_files(checkpoint, tensors.config, scheme)
    if not scheme.needs_text:
        windows = None
    run = _Run(tensors, scheme, windows, target.with_name(target.name + ".partial"), identity)
    run.make(progress or _quiet)
    run.finish(target, files)
    return target


class _Run:
    def __init__(
        self,
        tensors: FolderTensors,
        scheme: FolderScheme,
        windows: Windows | None,
        folder: Path,
        identity: str,
    ) -> None:
        self.tensors, self.scheme, self.windows, self.folder = tensors, scheme, windows, folder
        self.config = tensors.config
        self.settings = _fingerprint(scheme, windows, identity)

    def make(self, progress: Progress) -> None:
        total = self.config.num_layers
        finished = self._finished()
        self.folder.mkdir(parents=True, exist_ok=True)
        with SafetensorsWriter(self.folder, self.tensors.to_write(self.scheme)) as writer:
            writer.open()
            if finished is None:
                self._check_room(writer)
                self._save_journal(0)
                finished = 0
            if finished == 0:
                for name, first, values in self.tensors.outside():
                    write_floats(writer, name, values, first)
                self._begin_text()
            progress(finished, total)
            for number in range(finished, total):
                self._make_layer(number, writer)
                writer.sync()
                self._save_journal(number + 1)
                self._hidden_path(number).unlink(missing_ok=True)
                progress(number + 1, total)

    def finish(self, target: Path, files: dict[str, str]) -> None:
        """Put the small files beside the weights, take away what only a run needs, and rename."""
        for path in (self._hidden_path(self.config.num_layers), self.folder / _ROOM):
            path.unlink(missing_ok=True)
        for name, text in files.items():
            with (self.folder / name).open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        (self.folder / _JOURNAL).unlink()
        self.folder.rename(target)

    def _make_layer(self, number: int, writer: SafetensorsWriter) -> None:
        layer = self.tensors.layer(number)
        if not self.scheme.is_quantized:
            write_layer(writer, number, {}, layer, self.scheme)
            return
        if self.windows is None:
            matrices = round_without_text(layer, self.scheme)
            named = {f"{name}.weight" for name in MATRICES}
            others = {name: values for name, values in layer.items() if name not in named}
        else:
            calibration = self._calibration(number)
            matrices, others = round_layer(layer, calibration, self.config, self.scheme)
            _flush(calibration.output)
        write_layer(writer, number, matrices, others, self.scheme)

    def _begin_text(self) -> None:
        if self.windows is None:
            return
        hidden = self._array(self._hidden_path(0), self.config.hidden_size, "w+")
        for sample, token_ids in enumerate(self.windows):
            hidden[sample] = self.tensors.embedded(token_ids)
        _flush(hidden)

    def _calibration(self, number: int) -> Calibration:
        assert self.windows is not None
        config, tokens = self.config, self.windows.shape[1]
        factors = self.tensors.checkpoint.tensors.get(ROPE_FACTORS)
        rope = RopeTable(config.rope, tokens, None if factors is None else factors.decode())
        rope.reach(tokens - 1)
        width = config.num_heads * config.head_dim
        return Calibration(
            self._array(self._hidden_path(number), config.hidden_size, "r"),
            self._array(self.folder / _ROOM, width, "w+"),
            self._array(self._hidden_path(number + 1), config.hidden_size, "w+"),
            rope.cosines,
            rope.sines,
        )

    def _array(self, path: Path, width: int, mode: Any) -> Floats:
        """A file of float32 (samples, tokens, width): as large as need be without being memory."""
        assert self.windows is not None
        return np.memmap(path, np.float32, mode, shape=(*self.windows.shape, width))

    def _hidden_path(self, number: int) -> Path:
        """What comes into layer ``number``."""
        return self.folder / f"hidden-{number}.f32"

    def _check_room(self, writer: SafetensorsWriter) -> None:
        """The weights' files have holes so far: ask for all that the run will fill."""
        if self.windows is None:
            return
        width = 2 * self.config.hidden_size + self.config.num_heads * self.config.head_dim
        room_bytes = writer.total_bytes + self.windows.size * width * 4
        free_bytes = shutil.disk_usage(self.folder).free
        if room_bytes > free_bytes:
            raise NotEnoughSpace(
                f"the weights and what {self.windows.size} tokens need on the way take"
                f" {format_bytes(room_bytes)}, and {format_bytes(free_bytes)} are free at"
                f" {self.folder.parent}",
                hint="give fewer --samples",
            )

    def _finished(self) -> int | None:
        """How many layers an earlier run has finished; None if there was none."""
        path = self.folder / _JOURNAL
        if not path.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise UsageError(f"{self.folder} exists, and is no interrupted run")
            return None
        journal = json.loads(path.read_text(encoding="utf-8"))
        if journal["settings"] != self.settings:
            raise UsageError(
                f"{self.folder} is an interrupted run of other settings, text or source",
                hint="remove it, or ask for the same again to go on",
            )
        return int(journal["layers"])

    def _save_journal(self, layers: int) -> None:
        path = self.folder / _JOURNAL
        draft = path.with_name(path.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump({"settings": self.settings, "layers": layers}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def _fingerprint(scheme: FolderScheme, windows: Windows | None, identity: str) -> str:
    """What makes two runs write the same bytes."""
    text = "" if windows is None else hashlib.sha256(windows.tobytes()).hexdigest()
    shape = [] if windows is None else list(windows.shape)
    settings = [__version__, asdict(scheme), text, shape, identity]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def _quiet(_done: int, _total: int) -> None: ...


def _flush(array: Floats) -> None:
    assert isinstance(array, np.memmap)
    array.flush()
