"""A checkpoint's tensors in a folder's names and row order, and what a folder of them will hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from stillhouse.checkpoints import Checkpoint, CompressedTensor
from stillhouse.checkpoints.safetensors_writer import NewTensor, SafetensorsWriter
from stillhouse.checkpoints.tensor_names import folder_tensor_name
from stillhouse.encodings.packed_words import pack_words, words_for
from stillhouse.encodings.plain import bf16_bits
from stillhouse.errors import BadCheckpoint
from stillhouse.models import tensors as tensors_of
from stillhouse.models.config import ModelConfig
from stillhouse.models.weights import row_order
from stillhouse.quantize.folder_schemes import FolderScheme
from stillhouse.quantize.layer_rounding import MATRICES
from stillhouse.quantize.scales import Floats, RoundedMatrix

_PIECE_ROWS = 4096


class FolderTensors:
    """All tensors of a model by GGUF's names: those of one layer, and those outside of layers.

    Raises BadCheckpoint if one is missing, of another shape, or of no name that folders have.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        tensors = checkpoint.tensors
        self.checkpoint = checkpoint
        self.config = ModelConfig.from_metadata(
            checkpoint.metadata, tied_embeddings="output.weight" not in tensors
        )
        self.shapes = tensors_of.tensor_shapes(self.config.shape)
        for name, shape in self.shapes.items():
            if name not in tensors or tensors[name].shape != shape:
                found = tensors[name].shape if name in tensors else "not there"
                raise BadCheckpoint(f"tensor {name} is {found}, and the model needs {shape}")
        unknown = set(tensors) - set(self.shapes) - {tensors_of.ROPE_FACTORS}
        if unknown:
            raise BadCheckpoint(f"tensor {min(unknown)} is none that {self._name} has")

    @property
    def _name(self) -> str:
        return self.config.architecture.name

    def outside(self) -> Iterator[tuple[str, int, Floats]]:
        """What stands before and behind the layers, in pieces: name, first row, numbers.

        A table of 152,064 rows is larger in float32 than any layer of its model.
        """
        for name, shape in self.shapes.items():
            if name.startswith("blk."):
                continue
            tensor = self.checkpoint.tensors[name]
            if len(shape) == 1:
                yield name, 0, self.values(name)
                continue
            for first in range(0, shape[0], _PIECE_ROWS):
                last = min(first + _PIECE_ROWS, shape[0])
                if isinstance(tensor, CompressedTensor):
                    values = tensor.decode_between(first, last)
                else:
                    values = tensor.decode_rows(np.arange(first, last))
                yield name, first, _finite(name, values)
                tensor.release()

    def values(self, name: str) -> Floats:
        """A tensor's numbers, rows as folders have them. Raises BadCheckpoint if one is not finite.

        GGUF files of llama hold rows of queries and keys as neighbours where folders hold halves
        (llama.cpp, conversion of LlamaForCausalLM).
        """
        tensor = self.checkpoint.tensors[name]
        values = _finite(name, tensor.decode())
        tensor.release()
        order = row_order(self.config, name)
        return values if order is None else values[order]

    def layer(self, number: int) -> dict[str, Floats]:
        """All of one layer by the ends of their names, as "attn_q.weight"."""
        prefix = f"blk.{number}."
        names = [name for name in self.shapes if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.values(name) for name in names}

    def embedded(self, token_ids: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Floats:
        """The rows of the table of embeddings, as the folder will hold them."""
        table = self.checkpoint.tensors["token_embd.weight"]
        if isinstance(table, CompressedTensor):
            raise BadCheckpoint("token_embd.weight is quantised, which no folder's scheme does")
        rows = table.decode_rows(token_ids)
        return (bf16_bits(rows).astype(np.uint32) << 16).view(np.float32)

    def matrix_columns(self) -> dict[str, int]:
        """The columns of every matrix that schemes quantise."""
        wanted = {f"{name}.weight" for name in MATRICES}
        return {
            name: shape[1]
            for name, shape in self.shapes.items()
            if name.startswith("blk.") and name.split(".", 2)[2] in wanted
        }

    def to_write(self, scheme: FolderScheme) -> list[NewTensor]:
        """What the folder will hold, in the order of its files."""
        return [new for name in self.shapes for new in self._new(name, scheme)]

    def _new(self, name: str, scheme: FolderScheme) -> Iterator[NewTensor]:
        module, full = _folder_names(name)
        shape = self.shapes[name]
        if not scheme.is_quantized or name not in self.matrix_columns():
            yield NewTensor(full, "BF16", shape)
            return
        rows, columns = shape
        groups = columns // (scheme.group_columns or columns)
        if scheme.is_packed:
            words = rows, words_for(columns, scheme.bits)
            yield NewTensor(f"{module}.weight_packed", "I32", words)
            yield NewTensor(f"{module}.weight_shape", "I64", (2,))
        else:
            yield NewTensor(f"{module}.weight", "F8_E4M3" if scheme.is_float else "I8", shape)
        yield NewTensor(f"{module}.weight_scale", "BF16", (rows, groups))


def write_floats(writer: SafetensorsWriter, name: str, values: Floats, first_row: int = 0) -> None:
    """Write a tensor that stays BF16, or rows of it; `name` is GGUF's."""
    writer.write_rows(_folder_names(name)[1], first_row, bf16_bits(values))


def write_layer(
    writer: SafetensorsWriter,
    number: int,
    matrices: Mapping[str, RoundedMatrix],
    others: Mapping[str, Floats],
    scheme: FolderScheme,
) -> None:
    """Write one layer: rounded matrices by name ("attn_q"), and all else as BF16."""
    for name, values in others.items():
        write_floats(writer, f"blk.{number}.{name}", values)
    for name, matrix in matrices.items():
        module, _ = _folder_names(f"blk.{number}.{name}.weight")
        if scheme.is_packed:
            writer.write(
                f"{module}.weight_packed", pack_words(matrix.codes.view(np.int8), scheme.bits)
            )
            writer.write(f"{module}.weight_shape", np.array(matrix.codes.shape, "<i8"))
        else:
            writer.write(f"{module}.weight", matrix.codes)
        writer.write(f"{module}.weight_scale", bf16_bits(matrix.scales))


def _finite(name: str, values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise BadCheckpoint(f"tensor {name} holds numbers that are not finite (NaN or infinite)")
    return values


def _folder_names(name: str) -> tuple[str, str]:
    """The folder's names of a tensor's module, and of itself."""
    parsed = folder_tensor_name(name)
    assert parsed is not None, name  # every name of `tensor_shapes` has one
    return parsed.module, f"{parsed.module}.{parsed.parameter}"
