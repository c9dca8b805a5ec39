"""Bytes of a loaded model in this engine, from shapes and formats alone: what `packed_forms`,
`buffers` and `rope` allocate, without allocating it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stillhouse.catalog.shapes import Shape
from stillhouse.encodings import Encoding
from stillhouse.kernels.layouts import (
    BY_ENCODING,
    PANEL_ROWS,
    VALUE_BYTES,
    WHOLE_ROW,
    WIDE,
    Layout,
    quantized_bytes,
)
from stillhouse.models.tensors import head_name, matrices

STEP_ROWS = 512
"""Rows of one step. More would only take memory: the matrices are read once for all of them."""

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Matrices:
    """The linear layers of a model: which encoding each has, by GGUF name."""

    shape: Shape
    encodings: Mapping[str, Encoding]

    def packed_bytes(self) -> int:
        """All of them as kernels read them, each on pages of its own."""
        total = 0
        for name, (rows, columns) in self._sizes():
            size = packed_bytes(self.encodings[name], rows, columns)
            total += -(-size // _PAGE) * _PAGE
        return total

    def spans(self, *parts: str) -> set[int]:
        """How many columns share an activation's scale, in the layers of these names."""
        names = tuple(f".{part}.weight" for part in parts)
        chosen = [e for name, e in self.encodings.items() if name.endswith(names)]
        return {layout.span for layout in map(layout_of, chosen) if layout is not None}

    def head_spans(self) -> set[int]:
        """The same of the matrix that makes logits."""
        layout = layout_of(self.encodings[head_name(self.shape)])
        return set() if layout is None else {layout.span}

    def _sizes(self) -> Iterable[tuple[str, tuple[int, int]]]:
        for name, sizes in matrices(self.shape).items():
            rows, columns = sizes
            yield name, (rows, columns)


def layout_of(encoding: Encoding) -> Layout | None:
    """How codes are packed; None for floats."""
    if encoding.block_size == 1:
        return None
    return BY_ENCODING.get(encoding.name, WIDE)


def packed_bytes(encoding: Encoding, rows: int, columns: int) -> int:
    """One matrix as kernels read it."""
    layout = layout_of(encoding)
    if layout is not None:
        return layout.packed_bytes(rows, columns)
    value_bytes = VALUE_BYTES.get(encoding.name, VALUE_BYTES["F32"])
    return -(-rows // PANEL_ROWS) * PANEL_ROWS * columns * value_bytes


def buffer_bytes(model: Matrices, *, rows: int, outputs: int, tiles: bool = False) -> int:
    """What steps of so many rows, of which so many make logits, have written to at the most."""
    shape = model.shape
    query = shape.num_heads * shape.head_dim
    qkv = query + 2 * shape.num_kv_heads * shape.head_dim
    into_layer = model.spans("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")
    floats = shape.hidden_size + qkv + query + shape.ffn_size
    return (
        4 * rows * floats
        + input_bytes(shape.hidden_size, into_layer, rows, tiles=tiles)
        + input_bytes(shape.hidden_size, model.head_spans(), outputs, tiles=tiles)
        + input_bytes(query, model.spans("attn_output"), rows, tiles=tiles)
        + input_bytes(shape.ffn_size, model.spans("ffn_down"), rows, tiles=tiles)
        + 4 * outputs * -(-shape.vocab_size // PANEL_ROWS) * PANEL_ROWS
    )


def input_bytes(columns: int, spans: Iterable[int], rows: int, *, tiles: bool = False) -> int:
    """Rows that feed linear layers: as floats, and as int8 for each way to share scales."""
    total = 4 * rows * columns
    for span in spans:
        total += quantized_bytes(rows, columns, columns if span == WHOLE_ROW else span)
    return total + (2 * rows * columns if tiles else 0)


def rope_bytes(shape: Shape, context_tokens: int) -> int:
    """Cosines and sines up to a position, filled in 1,024 at a time."""
    positions = -(-context_tokens // 1024) * 1024
    return 2 * positions * (shape.head_dim // 2) * 4
