"""What is quantised: a model of either kind on disk, its rows in the order that GGUF files have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import (
    Checkpoint,
    EncodedTensor,
    MetaEntry,
    Tensor,
    open_checkpoint,
    read_entries,
)
from stillhouse.encodings import Encoding
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.models.rope import angles_per_position
from stillhouse.models.tensors import ROPE_FACTORS, tensor_shapes
from stillhouse.quantize.gguf_facts import folder_entries

_OF_PARTS = ("split.no", "split.count", "split.tensors.count")


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor as rows, decoded piece by piece. `order`: where each of GGUF's rows is in the file;
    None for all of them as they lie.
    """

    name: str
    tensor: Tensor
    order: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def num_rows(self) -> int:
        return prod(self.shape[:-1])

    @property
    def encoding(self) -> Encoding | None:
        """How its rows are stored, where that is one of GGUF's formats."""
        if isinstance(self.tensor, EncodedTensor) and self.tensor.encoding.ggml_type is not None:
            return self.tensor.encoding
        return None

    def raw_rows(self, first: int, last: int) -> NDArray[np.uint8]:
        """Rows as they are stored, uint8 (rows, row_bytes)."""
        assert isinstance(self.tensor, EncodedTensor)
        raw = self.tensor.raw
        return raw[first:last] if self.order is None else raw[self.order[first:last]]

    def decoded_rows(self, first: int, last: int) -> NDArray[np.float32]:
        """The same as float32 (rows, columns)."""
        if isinstance(self.tensor, EncodedTensor):
            encoding = self.tensor.encoding
            raw = np.ascontiguousarray(self.raw_rows(first, last))
            values = encoding.decode(raw.reshape(-1, encoding.block_bytes))
            return values.reshape(last - first, self.shape[-1])
        if self.order is None:
            return self.tensor.decode_between(first, last)
        rows = self.order[first:last]
        low, high = int(rows.min()), int(rows.max()) + 1
        return self.tensor.decode_between(low, high)[rows - low]

    def release(self) -> None:
        """Let go of its pages."""
        self.tensor.release()


@dataclass(frozen=True, slots=True)
class Source:
    """An open model. `made` holds tensors that GGUF files have and folders do not.

    Attributes:
        path: what was opened.
        entries: the metadata of a GGUF file of this model.
        tensors: in the order in which llama-quantize writes them.
        made: tensors that are computed, not read.
    """

    path: Path
    checkpoint: Checkpoint
    config: ModelConfig
    entries: tuple[MetaEntry, ...]
    tensors: Mapping[str, SourceTensor]
    made: Mapping[str, NDArray[np.float32]]
    is_folder: bool

    @property
    def alignment(self) -> int:
        """Of tensors, in bytes."""
        value = self.checkpoint.metadata.get("general.alignment", 32)
        return value if isinstance(value, int) else 32

    def identity(self) -> list[tuple[str, int, int]]:
        """Name, size and time of change of every file it is read from."""
        folder = self.path if self.path.is_dir() else self.path.parent
        files = [self.path]
        if self.is_folder:
            files = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.json"))
        stats = [(file, file.stat()) for file in files]
        return [(str(file.resolve()), one.st_size, one.st_mtime_ns) for file, one in stats]


def open_source(path: Path) -> Source:
    """Open a GGUF file or a folder of safetensors, of an architecture that is computed here.

    Raises ModelNotFound and BadCheckpoint. Close its `checkpoint` at the end.
    """
    checkpoint = open_checkpoint(path)
    try:
        is_folder = "tokenizer.huggingface.eos_token_ids" in checkpoint.metadata
        is_tied = "output.weight" not in checkpoint.tensors
        config = ModelConfig.from_metadata(checkpoint.metadata, tied_embeddings=is_tied)
        _check_tensors(config, checkpoint)
        made: dict[str, NDArray[np.float32]] = {}
        if is_folder:
            entries = folder_entries(checkpoint.metadata, config)
            if config.rope.scaling == "llama3":
                made[ROPE_FACTORS] = _rope_factors(config)
        else:
            entries = [entry for entry in read_entries(path) if entry.key not in _OF_PARTS]
        tensors = {
            name: SourceTensor(name, checkpoint.tensors[name], _row_order(config, name, is_folder))
            for name in sorted(checkpoint.tensors, key=place_of)
        }
    except BaseException:
        checkpoint.close()
        raise
    return Source(path, checkpoint, config, tuple(entries), tensors, made, is_folder)


def _check_tensors(config: ModelConfig, checkpoint: Checkpoint) -> None:
    for name, shape in tensor_shapes(config.shape).items():
        if name not in checkpoint.tensors:
            raise BadCheckpoint(f"the model has no tensor {name}")
        found = checkpoint.tensors[name].shape
        if found != shape:
            raise BadCheckpoint(f"tensor {name} is {found}, and the model needs {shape}")


def place_of(name: str) -> tuple[int, str]:
    """llama.cpp's order of tensors: those outside of layers, then layer by layer, by name."""
    parts = name.split(".")
    in_layer = parts[0] == "blk" and len(parts) > 1 and parts[1].isdecimal()
    return (int(parts[1]) if in_layer else -1), name


def _row_order(config: ModelConfig, name: str, is_folder: bool) -> NDArray[np.int64] | None:
    """Where the rows of queries and keys are in a folder's tensor.

    GGUF files of llama have the two rows that rope turns together as neighbours, folders half a
    head apart (llama.cpp, conversion of LlamaForCausalLM).
    """
    if not is_folder or config.architecture.rope_kind != "interleaved":
        return None
    kind = name.split(".")[-2]
    if kind not in ("attn_q", "attn_k"):
        return None
    heads = config.num_heads if kind == "attn_q" else config.num_kv_heads
    within = np.arange(config.head_dim).reshape(2, -1).T.reshape(-1)
    return (np.arange(heads)[:, None] * config.head_dim + within).reshape(-1)


def _rope_factors(config: ModelConfig) -> NDArray[np.float32]:
    """Llama 3's divisors of each pair's angle, which GGUF files hold as a tensor."""
    rope = config.rope
    pairs = np.arange(rope.dim // 2)
    plain = rope.base ** (-2.0 * pairs / rope.dim)
    return (plain / angles_per_position(rope)).astype(np.float32)
