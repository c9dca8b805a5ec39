"""How large a folder of safetensors is, before it is there, in the schemes of compressed-tensors.

Linear layers of the decoder are quantised; embeddings, head, norms and biases stay BF16. Counted
are the tensors that a compressor writes (https://github.com/vllm-project/compressed-tensors, as
`checkpoints/compressed.py` reads them); a safetensors header, of 0.1 MB or so, is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from stillhouse.catalog.shapes import Shape
from stillhouse.errors import UsageError
from stillhouse.models.tensors import ROPE_FACTORS, head_name, matrices, tensor_shapes

_BF16_BYTES = 2
_WEIGHT_SHAPE_BYTES = 2 * 8  # pack-quantized keeps rows and columns, an int64 each


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a linear layer is kept: `bits` a weight, and a BF16 scale for each `group` of a row.

    A `group` of 0 is the whole row. Symmetric: no zero points. Scales of activations are found
    while it runs, and none is stored.
    """

    name: str
    bits: int
    group: int
    is_packed: bool = False  # into int32 words, the shape beside them

    def matrix_bytes(self, rows: int, columns: int) -> int:
        """Bytes of one layer's weight and what belongs to it."""
        groups = -(-columns // self.group) if self.group else 1
        row_bytes = columns * self.bits // 8
        if self.is_packed:
            row_bytes = -(-columns * self.bits // 32) * 4
        scales = rows * groups * _BF16_BYTES
        return rows * row_bytes + scales + (_WEIGHT_SHAPE_BYTES if self.is_packed else 0)


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("BF16", bits=16, group=0),
        Scheme("FP8", bits=8, group=0),  # W8A8, float8 E4M3
        Scheme("INT8", bits=8, group=0),  # W8A8
        Scheme("W4A16", bits=4, group=128, is_packed=True),
    )
}


def folder_bytes(shape: Shape, scheme_name: str) -> int:
    """Bytes of all tensors of a model's safetensors. Raises UsageError for an unknown scheme."""
    return sum(folder_tensors(shape, scheme_name).values())


def folder_tensors(shape: Shape, scheme_name: str) -> dict[str, int]:
    """Bytes of each tensor, scales and all, by the name that it has in a GGUF file.

    Routers stay BF16, and an expert is a matrix like any other. A latent's way up is one matrix,
    as in the makers' own files. Raises UsageError for an unknown scheme.
    """
    scheme = SCHEMES.get(scheme_name.upper())
    if scheme is None:
        raise UsageError(
            f"'{scheme_name}' is not a scheme", hint=f"known: {', '.join(SCHEMES).lower()}"
        )
    quantised = {
        name: sizes
        for name, sizes in matrices(shape, fused_kv_b=True).items()
        if name != head_name(shape) and "ffn_gate_inp" not in name
    }
    found: dict[str, int] = {}
    for name, sizes in tensor_shapes(shape, fused_kv_b=True).items():
        if name == ROPE_FACTORS:
            continue
        if name not in quantised or scheme.name == "BF16":
            found[name] = _BF16_BYTES * prod(sizes)
            continue
        *experts, rows, columns = sizes
        found[name] = prod(experts) * scheme.matrix_bytes(rows, columns)
    return found
