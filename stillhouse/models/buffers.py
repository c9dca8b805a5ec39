"""The fixed memory of a step: what its operations read and write, always at the same addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.kernels import amx, attention, linear
from stillhouse.kernels.activations import NOT_QUANTIZED, Forms, QuantizedBuffer, QuantizedRows
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import WHOLE_ROW
from stillhouse.kernels.memory import allocate
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.config import ModelConfig
from stillhouse.models.footprint import STEP_ROWS
from stillhouse.models.weights import Matrix, Weights


def rows_of(columns: int) -> npt.NDArray[np.float32]:
    """float32 (STEP_ROWS, columns); a page takes memory only once it is written."""
    return allocate(STEP_ROWS * columns * 4).view(np.float32).reshape(STEP_ROWS, columns)


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the array's first element lies."""
    return int(array.ctypes.data)


class LinearInput:
    """What feeds linear layers: float32 rows, and the other forms in which kernels read them."""

    def __init__(self, columns: int, readers: Sequence[Matrix], *, tiles: bool) -> None:
        self.values = rows_of(columns)
        layouts = {matrix.layout for matrix in readers if matrix.layout is not None}
        self._buffers = {
            span: QuantizedBuffer(STEP_ROWS, columns, columns if span == WHOLE_ROW else span)
            for span in {layout.span for layout in layouts}
        }
        reads_bf16 = tiles and any(map(linear.has_tiles, layouts))
        self._bf16 = allocate(STEP_ROWS * columns * 2) if reads_bf16 else None

    @property
    def address(self) -> int:
        return address_of(self.values)

    @property
    def bf16_address(self) -> int:
        """The rows as bf16; 0 where no kernel reads them so."""
        return 0 if self._bf16 is None else address_of(self._bf16)

    def quantized(self, span: int) -> QuantizedRows:
        """The rows as int8 with a scale for each ``span`` columns, or for a WHOLE_ROW."""
        buffer = self._buffers.get(span)
        return NOT_QUANTIZED if buffer is None else buffer.rows

    def forms(self, *, tiles: bool) -> tuple[int, ...]:
        """The forms that the linear kernels read, or those on tiles, as kernel arguments."""
        if tiles:
            return Forms(NOT_QUANTIZED, NOT_QUANTIZED, self.bf16_address).arguments()
        return Forms(self.quantized(256), self.quantized(32), 0).arguments()


class StepBuffers:
    """Everything between a batch and its logits."""

    def __init__(self, config: ModelConfig, weights: Weights, *, isa: Isa, threads: int) -> None:
        tiles = linear.uses_tiles(isa)
        head = weights.head
        query = config.num_heads * config.head_dim
        self.qkv_width = query + 2 * config.num_kv_heads * config.head_dim
        self.hidden = rows_of(config.hidden_size)
        into_layer = weights.readers("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")
        self.normed = LinearInput(config.hidden_size, into_layer, tiles=tiles)
        self.final = LinearInput(config.hidden_size, [head], tiles=tiles)
        self.qkv, self.queries = rows_of(self.qkv_width), rows_of(query)
        self.mixed = LinearInput(query, weights.readers("attn_output"), tiles=tiles)
        self.gate = LinearInput(config.ffn_size, weights.readers("ffn_down"), tiles=tiles)
        self.up = rows_of(config.ffn_size)
        self.logits = rows_of(head.panels * 16)
        self.eps = np.array([config.rms_eps], np.float32)
        self.tile_configuration = amx.configuration()

        self.rows, self.output_rows = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.positions, self.sequences = (
            np.zeros(STEP_ROWS, np.int32),
            np.zeros(STEP_ROWS, np.int32),
        )
        self.table_width = -(-config.context_length // BLOCK_TOKENS)
        tables = allocate(STEP_ROWS * self.table_width * 4).view(np.int32)
        self.tables = tables.reshape(STEP_ROWS, self.table_width)

        group = config.num_heads // config.num_kv_heads
        head_dim, context = config.head_dim, config.context_length
        largest = max(attention.scratch_bytes(head_dim, group), linear.scratch_bytes(isa))
        self.scratch_stride = -(-largest // 4096) * 4096
        self.scratch = allocate(threads * self.scratch_stride)
        self.partials = allocate(attention.partials_bytes(context, threads, head_dim, group))

    def place(self, batch: Batch) -> None:
        """Copy in what the batch says of its rows; their embeddings go to ``hidden``."""
        rows, outputs = len(batch.token_ids), len(batch.logit_rows)
        self.rows[0], self.output_rows[0] = rows, outputs
        self.positions[:rows] = batch.positions
        self.sequences[:rows] = batch.sequence_index
        sequences, width = batch.block_tables.shape
        width = min(width, self.table_width)
        self.tables[:sequences, :width] = batch.block_tables[:, :width]

    def keep(self, rows: npt.NDArray[np.int32]) -> None:
        """Move those rows of ``hidden`` and ``mixed`` to the front: only they go on to logits."""
        for values in (self.hidden, self.mixed.values):
            values[: len(rows)] = values[rows]
