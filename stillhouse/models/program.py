"""A decoder's step as a program: which kernel, on what memory, in what order.

The architectures share all of it; what differs (biases, QK norm, rope) stands in the config and in
which vectors the checkpoint has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.kernels import (
    activations,
    activations_by_row,
    attention,
    linear,
    linear_float,
    linear_float8,
    rotary,
)
from stillhouse.kernels.activations import NOT_QUANTIZED
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import C8, WHOLE_ROW
from stillhouse.kernels.team import Operation, Program
from stillhouse.models.buffers import LinearInput, StepBuffers, address_of
from stillhouse.models.config import ModelConfig
from stillhouse.models.kv import KVCache
from stillhouse.models.rope import RopeTable
from stillhouse.models.weights import Matrix, Weights

Kernel = tuple[str, Callable[[], Any]]
"""A kernel's name, unique among all, and what makes its Python function."""


class MatrixOperation(NamedTuple):
    """An operation that multiplies ``matrix`` with the first of the rows of ``source``."""

    matrix: str
    source: LinearInput
    operation: Operation


Step = Operation | MatrixOperation


class ProgramBuilder:
    """Builds the programs of one loaded model, as the operations that they consist of."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        buffers: StepBuffers,
        rope: RopeTable,
        compiler: KernelCompiler,
        isa: Isa,
    ) -> None:
        self._config = config
        self._weights = weights
        self._buffers = buffers
        self._rope = rope
        self._compiler = compiler
        self._isa = isa
        self._group = config.num_heads // config.num_kv_heads
        self._biases = [self._qkv_bias(layer) for layer in range(config.num_layers)]

    def kernels(self) -> dict[str, Callable[[], Any]]:
        """Every kernel that the model's programs call with a bf16 cache, the usual one."""
        matrices = self._weights.matrices.values()
        layouts = {matrix.layout for matrix in matrices}
        return dict(
            [
                _NORM,
                _GATE,
                _QUANTIZE,
                *([_QUANTIZE_ROWS] if C8 in layouts else []),
                self._rope_kernel("bf16"),
                self._attention_kernel("bf16"),
                self._merge_kernel(),
                *(
                    self._linear_kernel(matrix, tiles)
                    for matrix in matrices
                    for tiles in ({False, linear.uses_tiles(self._isa)})
                ),
            ]
        )

    def body(self, kv: KVCache, *, tiles: bool) -> list[Step]:
        """From embeddings in ``hidden`` to the last layer's attention in ``mixed``.

        All rows have then left their keys and values in the cache; only rows that make logits need
        the rest, and ``tail`` is for those.
        """
        operations: list[Step] = []
        last = self._config.num_layers - 1
        for layer in range(last):
            operations += self._attend(layer, kv, tiles=tiles)
            operations += self._transform(layer, self._buffers.rows, tiles=tiles)
        return [*operations, *self._attend(last, kv, tiles=tiles)]

    def tail(self, *, tiles: bool) -> list[Step]:
        """The rest of the last layer, and logits, of the first ``output_rows`` rows."""
        b, head = self._buffers, self._weights.head
        rows, logits = b.output_rows, address_of(b.logits)
        return [
            *self._transform(self._config.num_layers - 1, rows, tiles=tiles),
            self._norm("output_norm.weight", b.final, rows, tiles=tiles),
            *self._by_row(b.final, head.columns, rows),
            self._linear(head, b.final, logits, head.panels * 16, rows, tiles=tiles),
        ]

    def _attend(self, layer: int, kv: KVCache, *, tiles: bool) -> list[Step]:
        """Queries, keys and values of a layer, and what attention makes of them, in ``mixed``."""
        config, b, rows = self._config, self._buffers, self._buffers.rows
        q, k, v = self._weights.of_layer(layer, "attn_q", "attn_k", "attn_v")
        qkv = address_of(b.qkv)
        key_at, value_at = qkv + 4 * q.rows, qkv + 4 * (q.rows + k.rows)
        places = (
            address_of(b.positions), address_of(b.sequences), address_of(b.tables), b.table_width,
            kv.layer_address(layer), config.num_kv_heads,
        )  # fmt: skip
        rope = rotary.RopeArguments(
            qkv, self._vector_address(self._biases[layer]),
            self._vector(layer, "attn_q_norm.weight"), self._vector(layer, "attn_k_norm.weight"),
            address_of(b.eps),
            address_of(self._rope.cosines), address_of(self._rope.sines), address_of(b.queries),
            *places, config.rope.dim, address_of(rows),
        )  # fmt: skip
        mix = attention.AttentionArguments(
            address_of(b.queries), b.mixed.address, *places, address_of(rows),
            address_of(b.scratch), b.scratch_stride, address_of(b.partials),
        )  # fmt: skip
        return [
            self._norm(f"blk.{layer}.attn_norm.weight", b.normed, rows, tiles=tiles),
            *self._by_row(b.normed, q.columns, rows),
            self._linear(q, b.normed, qkv, b.qkv_width, rows, tiles=tiles, wait=False),
            self._linear(k, b.normed, key_at, b.qkv_width, rows, tiles=tiles, wait=False),
            self._linear(v, b.normed, value_at, b.qkv_width, rows, tiles=tiles),
            self._operation(self._rope_kernel(kv.kv_type), rope),
            self._operation(self._attention_kernel(kv.kv_type), mix),
            self._operation(self._merge_kernel(), mix),
        ]

    def _transform(self, layer: int, rows: npt.NDArray[np.int64], *, tiles: bool) -> list[Step]:
        """What a layer adds to ``hidden``: the output projection of ``mixed``, then the FFN."""
        b = self._buffers
        output, gate, up, down = self._weights.of_layer(
            layer, "attn_output", "ffn_gate", "ffn_up", "ffn_down"
        )
        up_at, hidden = address_of(b.up), address_of(b.hidden)
        count = address_of(rows)
        quantize = (b.mixed.address, output.columns, count, *b.mixed.forms(tiles=tiles))
        activate = (b.gate.address, up_at, gate.rows, count, *b.gate.forms(tiles=tiles))
        return [
            self._operation(_QUANTIZE, quantize),
            *self._by_row(b.mixed, output.columns, rows),
            self._linear(output, b.mixed, hidden, output.rows, rows, tiles=tiles, accumulate=True),
            self._norm(f"blk.{layer}.ffn_norm.weight", b.normed, rows, tiles=tiles),
            *self._by_row(b.normed, gate.columns, rows),
            self._linear(gate, b.normed, b.gate.address, gate.rows, rows, tiles=tiles, wait=False),
            self._linear(up, b.normed, up_at, up.rows, rows, tiles=tiles),
            self._operation(_GATE, activate),
            *self._by_row(b.gate, down.columns, rows),
            self._linear(down, b.gate, hidden, down.rows, rows, tiles=tiles, accumulate=True),
        ]

    def _operation(
        self, kernel: Kernel, arguments: tuple[int, ...], wait: bool = True
    ) -> Operation:
        return Operation(self._compiler.address(*kernel), arguments, wait)

    def _norm(
        self,
        weight: str,
        x: LinearInput,
        rows: npt.NDArray[np.int64],
        *,
        tiles: bool,
    ) -> Operation:
        arguments = (
            address_of(self._buffers.hidden), address_of(self._weights.vectors[weight]), x.address,
            self._config.hidden_size, address_of(rows), address_of(self._buffers.eps),
            *x.forms(tiles=tiles),
        )  # fmt: skip
        return self._operation(_NORM, arguments)

    def _by_row(self, x: LinearInput, columns: int, rows: npt.NDArray[np.int64]) -> list[Operation]:
        """Rows as int8 with a scale for all their columns, where a matrix reads them so.

        An operation of its own, as the scale waits for the whole row.
        """
        form = x.quantized(WHOLE_ROW)
        if form == NOT_QUANTIZED:
            return []
        arguments = (x.address, columns, address_of(rows), *form)
        return [self._operation(_QUANTIZE_ROWS, arguments)]

    def _linear(
        self, matrix: Matrix, x: LinearInput, out: int, out_width: int,
        rows: npt.NDArray[np.int64], *, tiles: bool, accumulate: bool = False, wait: bool = True,
    ) -> MatrixOperation:  # fmt: skip
        b = self._buffers
        if matrix.layout is None:
            source = NOT_QUANTIZED._replace(codes=x.address)
        elif tiles and linear.has_tiles(matrix.layout):
            configuration = address_of(b.tile_configuration)
            source = NOT_QUANTIZED._replace(codes=x.bf16_address, scales=configuration)
        else:
            source = x.quantized(matrix.layout.span)
        arguments = linear.LinearArguments(
            matrix.address, matrix.panels, matrix.columns, *source, out, out_width * 4,
            int(accumulate), address_of(rows), address_of(b.scratch), b.scratch_stride,
        )  # fmt: skip
        operation = self._operation(self._linear_kernel(matrix, tiles), arguments, wait)
        return MatrixOperation(matrix.name, x, operation)

    def _linear_kernel(self, matrix: Matrix, tiles: bool) -> Kernel:
        layout, encoding = matrix.layout, matrix.form.encoding
        if layout is None and encoding == linear_float8.ENCODING:
            shared = matrix.form.scale_columns
            name = f"linear {encoding} {shared} {self._isa.label}"
            return name, lambda: linear_float8.make_matmul(self._isa, shared)
        if layout is None:
            return f"linear {encoding}", lambda: linear_float.make_matmul(encoding)
        level = "tiles" if tiles and linear.has_tiles(layout) else self._isa.label
        name = f"matmul {layout.name} {level}"
        return name, linear.make_matmul(self._isa, layout, tiles=tiles)

    def _rope_kernel(self, kv_type: str) -> Kernel:
        head_dim, group = self._config.head_dim, self._group
        name = f"rope {kv_type} {head_dim} {group}"
        return name, lambda: rotary.make_rope(kv_type, head_dim, group)

    def _attention_kernel(self, kv_type: str) -> Kernel:
        head_dim, group = self._config.head_dim, self._group
        name = f"attention {kv_type} {head_dim} {group} {self._isa.label}"
        return name, lambda: attention.make_attention(self._isa, kv_type, head_dim, group)

    def _merge_kernel(self) -> Kernel:
        head_dim, group = self._config.head_dim, self._group
        return f"merge {head_dim} {group}", lambda: attention.make_merge(head_dim, group)

    def _qkv_bias(self, layer: int) -> npt.NDArray[np.float32] | None:
        if not self._config.architecture.has_qkv_bias:
            return None
        parts = [self._weights.vectors[f"blk.{layer}.attn_{part}.bias"] for part in "qkv"]
        return np.concatenate(parts)

    def _vector(self, layer: int, part: str) -> int:
        return self._vector_address(self._weights.vectors.get(f"blk.{layer}.{part}"))

    @staticmethod
    def _vector_address(vector: npt.NDArray[np.float32] | None) -> int:
        return 0 if vector is None else address_of(vector)


def as_program(steps: Sequence[Step]) -> Program:
    """What a team walks."""
    return Program(
        [step.operation if isinstance(step, MatrixOperation) else step for step in steps]
    )


_NORM: Kernel = ("norm", activations.make_norm)
_GATE: Kernel = ("gate", activations.make_gate)
_QUANTIZE: Kernel = ("quantize", activations.make_quantize)
_QUANTIZE_ROWS: Kernel = ("quantize rows", activations_by_row.make_quantize_rows)
