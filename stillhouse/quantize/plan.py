"""What is going to be written: every tensor's format and bytes, and the header, before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from stillhouse.checkpoints import MetaEntry, TensorSpec, meta_entry
from stillhouse.checkpoints.gguf_entries import replaced
from stillhouse.checkpoints.gguf_writer import GgufLayout, lay_out
from stillhouse.encodings import Encoding, by_name
from stillhouse.errors import UsageError
from stillhouse.kernels.quantizers import has_quantizer
from stillhouse.models.tensors import matrices
from stillhouse.quantize.gguf_facts import QUANTIZATION_VERSION
from stillhouse.quantize.importance_facts import Importance, ImportanceFacts
from stillhouse.quantize.source import Source, place_of

_TABLES = ("token_embd.weight", "output.weight")
# Too coarse to write without knowing which columns matter (llama-quantize refuses the same ones).
_NEED_IMPORTANCE = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS")


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """`source_format` is for people; `is_copied`: its bytes stay as they are."""

    spec: TensorSpec
    source_format: str
    source_bytes: int
    is_copied: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The file to come."""

    recipe_name: str
    tensors: tuple[PlannedTensor, ...]
    layout: GgufLayout

    @property
    def file_bytes(self) -> int:
        return self.layout.file_bytes

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.spec.num_bytes for tensor in self.tensors)

    @property
    def source_bytes(self) -> int:
        """Of the tensors, as they are now."""
        return sum(tensor.source_bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Header apart, as llama-quantize counts."""
        return 8 * self.tensor_bytes / sum(prod(tensor.spec.shape) for tensor in self.tensors)

    def by_format(self) -> dict[str, tuple[int, int]]:
        """Tensors and bytes by format, the most bytes first."""
        sums: dict[str, tuple[int, int]] = {}
        for tensor in self.tensors:
            count, num_bytes = sums.get(tensor.spec.encoding.name, (0, 0))
            sums[tensor.spec.encoding.name] = count + 1, num_bytes + tensor.spec.num_bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1][1]))

    def as_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe_name,
            "file_bytes": self.file_bytes,
            "bits_per_weight": self.bits_per_weight,
            "formats": {
                name: {"count": count, "bytes": num_bytes}
                for name, (count, num_bytes) in self.by_format().items()
            },
            "tensors": [
                {
                    "name": tensor.spec.name,
                    "shape": list(tensor.spec.shape),
                    "source": tensor.source_format,
                    "format": tensor.spec.encoding.name,
                    "bytes": tensor.spec.num_bytes,
                }
                for tensor in self.tensors
            ],
        }


def quantized_names(source: Source) -> list[str]:
    """The tensors that recipes decide on: the matrices, the embedding table among them."""
    wanted = {"token_embd.weight", *matrices(source.config.shape)}
    return [name for name in source.tensors if name in wanted]


def make_plan(
    source: Source,
    encodings: Mapping[str, Encoding],
    *,
    name: str,
    file_type: int,
    importance: Importance | None = None,
    importance_facts: ImportanceFacts | None = None,
) -> Plan:
    """Plan the file in which each matrix has its format of `encodings`, and other tensors stay.

    Raises UsageError for a format that is not written, or not without importance.
    """
    matrix_names = set(quantized_names(source))
    planned = []
    for tensor_name, tensor in source.tensors.items():
        stored = tensor.encoding
        if tensor_name in matrix_names:
            encoding = encodings[tensor_name]
        elif source.is_folder or stored is None:
            encoding = by_name("F32")
        else:
            encoding = stored
        is_copied = stored is not None and stored.name == encoding.name
        if not is_copied:
            _check(tensor_name, encoding, importance, name)
        planned.append(
            PlannedTensor(
                TensorSpec(tensor_name, tensor.shape, encoding),
                tensor.tensor.format_name,
                tensor.tensor.num_bytes,
                is_copied,
            )
        )
    for tensor_name, values in source.made.items():
        spec = TensorSpec(tensor_name, values.shape, by_name("F32"))
        planned.append(PlannedTensor(spec, "F32", values.nbytes, is_copied=False))
    planned.sort(key=lambda one: place_of(one.spec.name))
    entries = _entries(source, file_type, importance_facts)
    return Plan(name, tuple(planned), lay_out(entries, [one.spec for one in planned]))


def _check(name: str, encoding: Encoding, importance: Importance | None, recipe_name: str) -> None:
    if not encoding.is_float and not has_quantizer(encoding.name):
        raise UsageError(f"{name} would be {encoding.name}, which is read here, but not written")
    is_coarse = encoding.name in _NEED_IMPORTANCE or (
        (recipe_name, encoding.name) == ("Q2_K_S", "Q2_K")
    )
    if is_coarse and name not in _TABLES and name not in (importance or {}):
        what = "without an importance matrix" if not importance else "and the matrix has none of it"
        raise UsageError(
            f"{name} would be {encoding.name}, which is too coarse {what}",
            hint="give one with --imatrix FILE",
        )


def _entries(source: Source, file_type: int, facts: ImportanceFacts | None) -> list[MetaEntry]:
    """The source's, with what llama-quantize changes of them."""
    news = [
        meta_entry("general.quantization_version", QUANTIZATION_VERSION),
        meta_entry("general.file_type", file_type),
    ]
    if facts is not None:
        news += [
            meta_entry("quantize.imatrix.file", facts.file),
            meta_entry("quantize.imatrix.dataset", facts.dataset),
            meta_entry("quantize.imatrix.entries_count", facts.num_entries),
            meta_entry("quantize.imatrix.chunks_count", facts.num_chunks),
        ]
    return replaced(source.entries, *news)
