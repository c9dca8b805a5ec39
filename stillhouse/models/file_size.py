"""How large a GGUF file is before it is there: every tensor, the header, the padding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from stillhouse.catalog import Conversion, HubFiles, Model, PackageFiles, Shape
from stillhouse.encodings import Encoding
from stillhouse.models.mixture import Mixture
from stillhouse.models.mixtures import mixture
from stillhouse.models.tensors import tensor_shapes

_ALIGNMENT = 32  # general.alignment of every file that does not say another


@dataclass(frozen=True, slots=True)
class SizedTensor:
    """A tensor as it lies in the file, without the padding behind it."""

    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    num_bytes: int


@dataclass(frozen=True, slots=True)
class SizedFile:
    """A file that need not exist. Bytes of a split file are those of its parts' data together."""

    mixture: Mixture
    tensors: tuple[SizedTensor, ...]
    header_bytes: int  # metadata and the table of tensors, padded
    padding_bytes: int  # between tensors

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.num_bytes for tensor in self.tensors)

    @property
    def total_bytes(self) -> int:
        return self.header_bytes + self.tensor_bytes + self.padding_bytes

    @property
    def bits_per_weight(self) -> float:
        """Stored bits a number, header apart: what llama.cpp prints as BPW."""
        return 8 * self.tensor_bytes / sum(prod(tensor.shape) for tensor in self.tensors)

    def sizes(self) -> dict[str, int]:
        """Bytes by tensor, as `cost.weight_bytes_per_step` wants them."""
        return {tensor.name: tensor.num_bytes for tensor in self.tensors}


def predicted_file(
    model: Model, mixture_name: str, files: HubFiles | PackageFiles | None = None
) -> SizedFile:
    """The file of a model in a mixture, as `files`' publisher makes it.

    Without `files`, as the first who publishes it does, or as llama.cpp does by itself. Raises
    UsageError for a mixture that nobody has described.
    """
    wanted = mixture_name.upper()
    if files is None:
        files = next((part for part in model.files if wanted in part.quantizations), None)
    conversion = files.conversion if files else Conversion()
    recipe = mixture(wanted, files.repo if isinstance(files, HubFiles) else "")
    return sized_file(model.shape, recipe, model.tokenizer.metadata_bytes, conversion)


def sized_file(
    shape: Shape, recipe: Mixture, metadata_bytes: int, conversion: Conversion
) -> SizedFile:
    """The same for any shape. `metadata_bytes` is what precedes the table of tensors."""
    if conversion.separate_head:
        shape = replace(shape, tied_embeddings=False)
    encodings = recipe.encodings(
        shape,
        imatrix=conversion.imatrix,
        fused_kv_b=conversion.fused_kv_b,
        layers_by_name=conversion.layers_by_name,
    )
    shapes = tensor_shapes(shape, fused_kv_b=conversion.fused_kv_b)
    tensors = tuple(
        SizedTensor(name, sizes, encodings[name], tensor_bytes(sizes, encodings[name]))
        for name, sizes in shapes.items()
    )
    header_bytes = metadata_bytes + table_bytes(tensors)
    return SizedFile(
        recipe,
        tensors,
        header_bytes + -header_bytes % _ALIGNMENT,
        sum(-tensor.num_bytes % _ALIGNMENT for tensor in tensors),
    )


def tensor_bytes(shape: tuple[int, ...], encoding: Encoding) -> int:
    """Bytes of a tensor whose rows are whole blocks."""
    return prod(shape) // encoding.block_size * encoding.block_bytes


def table_bytes(tensors: Iterable[SizedTensor]) -> int:
    """What the table of tensors takes: name with its length, dimensions, type, offset (GGUF 3)."""
    return sum(8 + len(one.name) + 4 + 8 * len(one.shape) + 4 + 8 for one in tensors)
