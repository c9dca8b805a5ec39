"""One step of a decoder: embeddings in, logits out, as a program of kernels for a team of threads.

The architectures share all of it; what differs (biases, QK norm, rope) stands in the config and in which
vectors the checkpoint has. A program is built once for each KV cache; what changes from step to step is
written into fixed buffers that its operations read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import EncodedTensor
from stillhouse.kernels import activations, amx, attention, linear, linear_float
from stillhouse.kernels.activations import NOT_QUANTIZED, Forms, QuantizedBuffer, QuantizedRows
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, prefetch_bytes
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Operation, Program, Team
from stillhouse.models.batch import Batch
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import kv_bytes_per_token
from stillhouse.models.kv import KVCache
from stillhouse.models.rope import RopeTable
from stillhouse.models.weights import Matrix, Weights, head_name

MAX_ROWS = 512
"""Rows of one step. More would only take memory: the matrices are read once for all of them already."""

Progress = Callable[[str, int, int], None]
_Kernels = dict[str, Callable[[], Any]]


class _Input:
    """What feeds linear layers: float32 rows, and the other forms in which kernels read them."""

    def __init__(self, columns: int, readers: list[Matrix], *, tiles: bool) -> None:
        self.values = rows_of(columns)
        spans = {matrix.layout.span for matrix in readers if matrix.layout is not None}
        self._buffers = {span: QuantizedBuffer(MAX_ROWS, columns, span) for span in spans}
        self._bf16 = allocate(MAX_ROWS * columns * 2) if tiles and spans else None

    @property
    def address(self) -> int:
        return address_of(self.values)

    @property
    def bf16_address(self) -> int:
        return 0 if self._bf16 is None else address_of(self._bf16)

    def quantized(self, span: int) -> QuantizedRows:
        buffer = self._buffers.get(span)
        return NOT_QUANTIZED if buffer is None else buffer.rows

    def forms(self, *, many: bool) -> Forms:
        """What the kernels for one row read, or those for many."""
        if many and self._bf16 is not None:
            return Forms(NOT_QUANTIZED, NOT_QUANTIZED, self.bf16_address)
        return Forms(self.quantized(256), self.quantized(32), 0)


class _Programs(NamedTuple):
    """For one row of activations and for many, without and with the rows that make logits."""

    one: Program
    many: Program


class Decoder:
    """A loaded model. Not for use from two threads at once."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        embeddings: EncodedTensor,
        *,
        threads: int,
        isa: Isa,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self.isa = isa
        self.threads = threads
        self._weights = weights
        self._embeddings = embeddings
        self._prefetch_bytes = prefetch_bytes()
        self._compiler = KernelCompiler()
        self._team = Team(threads)
        self._programs: WeakKeyDictionary[KVCache, _Programs] = WeakKeyDictionary()
        self._layers = [self._layer_matrices(layer) for layer in range(config.num_layers)]
        self._rope = RopeTable(
            config.rope, config.context_length, weights.vectors.get("rope_freqs.weight")
        )
        self._allocate_buffers()
        for done, (name, make) in enumerate(needed := sorted(self._kernels().items())):
            if progress is not None:
                progress("kernels", done, len(needed))
            self._compiler.address(name, make)
        if progress is not None:
            progress("kernels", len(needed), len(needed))
        self._heads = _Programs(self._head_program(many=False), self._head_program(many=True))

    def forward(self, batch: Batch, kv: KVCache) -> npt.NDArray[np.float32]:
        """Logits, float32 (len(batch.logit_rows), vocab): a view, valid until the next call."""
        rows, outputs = len(batch.token_ids), len(batch.logit_rows)
        assert 0 < rows <= MAX_ROWS, f"{rows} rows in one step, and the limit is {MAX_ROWS}"
        programs = self._programs.get(kv)
        if programs is None:
            programs = _Programs(self._body_program(kv, many=False), self._body_program(kv, many=True))
            self._programs[kv] = programs
        self._rope.reach(int(batch.positions.max()))
        self._hidden[:rows] = self._embeddings.decode_rows(batch.token_ids)
        self._positions[:rows] = batch.positions
        self._sequences[:rows] = batch.sequence_index
        self._place_tables(batch.block_tables)
        self._rows[0] = rows
        self._team.run(programs.one if rows == 1 else programs.many)
        if outputs:
            self._output_rows[0] = outputs
            self._output_index[:outputs] = batch.logit_rows
            self._team.run(self._heads.one if outputs == 1 else self._heads.many)
        return self._logits[:outputs, : self.config.vocab_size]

    def step_bytes(self, context_tokens: int) -> int:
        """Bytes read to decode one token of one sequence: packed weights, an embedding row, the KV cache."""
        row_bytes = self._embeddings.num_bytes // self.config.vocab_size
        kv_bytes = context_tokens * kv_bytes_per_token(self.config, "bf16")
        return self._weights.matrix_bytes + row_bytes + kv_bytes

    def close(self) -> None:
        """End the worker threads."""
        self._team.close()

    # ---- buffers ---------------------------------------------------------------------------------------

    def _layer_matrices(self, layer: int) -> dict[str, Matrix]:
        prefix = f"blk.{layer}."
        names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        return {name: self._weights.matrices[f"{prefix}{name}.weight"] for name in names}

    def _readers(self, *names: str) -> list[Matrix]:
        return [layer[name] for layer in self._layers for name in names]

    def _allocate_buffers(self) -> None:
        config = self.config
        head = self._weights.matrices[head_name(config)]
        tiles = linear.uses_tiles(self.isa)
        self._tile_configuration = amx.configuration()
        query = config.num_heads * config.head_dim
        self._qkv_width = query + 2 * config.num_kv_heads * config.head_dim
        self._hidden = rows_of(config.hidden_size)
        self._normed = _Input(
            config.hidden_size, self._readers("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"),
            tiles=tiles,
        )
        self._final = _Input(config.hidden_size, [head], tiles=tiles)
        self._qkv, self._queries = rows_of(self._qkv_width), rows_of(query)
        self._mixed = _Input(query, self._readers("attn_output"), tiles=tiles)
        self._gate = _Input(config.ffn_size, self._readers("ffn_down"), tiles=tiles)
        self._up = rows_of(config.ffn_size)
        self._logits = rows_of(head.panels * 16)
        self._positions, self._sequences = np.zeros(MAX_ROWS, np.int32), np.zeros(MAX_ROWS, np.int32)
        self._rows, self._output_rows = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._output_index = np.zeros(MAX_ROWS, np.int32)
        self._table_width = -(-config.context_length // 32)
        self._tables = allocate(MAX_ROWS * self._table_width * 4).view(np.int32)
        self._tables = self._tables.reshape(MAX_ROWS, self._table_width)
        self._eps = np.array([config.rms_eps], np.float32)
        self._biases = [self._layer_bias(layer) for layer in range(config.num_layers)]
        matrices = [*self._readers(*self._layers[0]), head]
        self._unpack_bytes = max(
            (
                linear.scratch_bytes(self.isa, matrix.layout, matrix.columns)
                for matrix in matrices
                if matrix.layout is not None
            ),
            default=0,
        )
        group = config.num_heads // config.num_kv_heads
        self._scratch_stride = -(-max(self._unpack_bytes, attention.scratch_bytes(group)) // 4096) * 4096
        self._scratch = allocate(self.threads * self._scratch_stride)

    def _layer_bias(self, layer: int) -> npt.NDArray[np.float32] | None:
        if not self.config.architecture.has_qkv_bias:
            return None
        vectors = self._weights.vectors
        parts = [vectors[f"blk.{layer}.attn_{part}.bias"] for part in "qkv"]
        return np.concatenate(parts).astype(np.float32)

    def _place_tables(self, tables: npt.NDArray[np.int32]) -> None:
        sequences, width = tables.shape
        width = min(width, self._table_width)
        self._tables[:sequences, :width] = tables[:, :width]

    # ---- programs --------------------------------------------------------------------------------------

    def _kernels(self) -> _Kernels:
        """Every kernel that this model's programs call, by name."""
        group = self.config.num_heads // self.config.num_kv_heads
        head_dim = self.config.head_dim
        kernels: _Kernels = {
            "norm": activations.make_norm,
            "gate": activations.make_gate,
            "quantize": activations.make_quantize,
        }
        for matrix in self._weights.matrices.values():
            for many in (False, True):
                name, make = self._linear_kernel(matrix, many)
                kernels[name] = make
        # The cache type is the caller's choice; the usual one is compiled with the rest.
        kernels[f"rope bf16 {head_dim} {group}"] = lambda: attention.make_rope("bf16", head_dim, group)
        kernels[f"attention bf16 {head_dim} {group}"] = lambda: attention.make_attention(
            "bf16", head_dim, group
        )
        return kernels

    def _linear_kernel(self, matrix: Matrix, many: bool) -> tuple[str, Callable[[], Any]]:
        layout = matrix.layout
        if layout is None:
            encoding = matrix.encoding
            return f"linear {encoding}", lambda: linear_float.make_matmul(encoding)
        if many:
            return f"matmul {layout.name} {self.isa.label}", linear.make_matmul(self.isa, layout)
        ahead = self._prefetch_bytes
        name = f"matvec {layout.name} {self.isa.label} {ahead}"
        return name, linear.make_matvec(self.isa, layout, ahead)

    def _linear(
        self, matrix: Matrix, x: _Input, out: int, out_width: int, rows: npt.NDArray[np.int64],
        *, many: bool, accumulate: bool = False, wait: bool = True,
    ) -> Operation:  # fmt: skip
        quantized = NOT_QUANTIZED
        if matrix.layout is None:
            quantized = quantized._replace(codes=x.address)
        elif many and x.bf16_address:
            quantized = quantized._replace(
                codes=x.bf16_address, scales=address_of(self._tile_configuration)
            )
        else:
            quantized = x.quantized(matrix.layout.span)
        arguments = linear.LinearArguments(
            matrix.address, matrix.panels, matrix.columns, *quantized, out, out_width * 4,
            int(accumulate), address_of(rows), address_of(self._scratch), self._scratch_stride,
        )  # fmt: skip
        return Operation(self._compiler.address(*self._linear_kernel(matrix, many)), arguments, wait)

    def _norm(
        self, weight: str, x: _Input, rows: npt.NDArray[np.int64], *, many: bool, index: int = 0
    ) -> Operation:
        arguments = (
            address_of(self._hidden), address_of(self._weights.vectors[weight]), x.address,
            self.config.hidden_size, address_of(rows), address_of(self._eps), index,
            *x.forms(many=many).arguments(),
        )  # fmt: skip
        return Operation(self._compiler.address("norm", activations.make_norm), arguments)

    def _layer_program(self, layer: int, kv: KVCache, *, many: bool) -> list[Operation]:
        config, matrices, rows = self.config, self._layers[layer], self._rows
        group, head_dim = config.num_heads // config.num_kv_heads, config.head_dim
        query, key = config.num_heads * head_dim, config.num_kv_heads * head_dim
        vectors, qkv, bias = self._weights.vectors, address_of(self._qkv), self._biases[layer]
        has_norm = config.architecture.has_qk_norm
        kv_type, cache = kv.kv_type, kv.layer_address(layer)
        places = (address_of(self._positions), address_of(self._sequences), address_of(self._tables), self._table_width)
        rope = attention.RopeArguments(
            qkv, 0 if bias is None else address_of(bias),
            address_of(vectors[f"blk.{layer}.attn_q_norm.weight"]) if has_norm else 0,
            address_of(vectors[f"blk.{layer}.attn_k_norm.weight"]) if has_norm else 0,
            address_of(self._eps), address_of(self._rope.cosines), address_of(self._rope.sines), address_of(self._queries),
            *places, cache, config.num_kv_heads, config.rope.dim, address_of(rows),
        )  # fmt: skip
        mix = attention.AttentionArguments(
            address_of(self._queries), self._mixed.address, *places, cache, config.num_kv_heads,
            address_of(rows), address_of(self._scratch), self._scratch_stride,
        )  # fmt: skip
        address = self._compiler.address
        width = self._qkv_width
        mixed_forms = self._mixed.forms(many=many).arguments()
        gate_forms = self._gate.forms(many=many).arguments()
        return [
            self._norm(f"blk.{layer}.attn_norm.weight", self._normed, rows, many=many),
            self._linear(matrices["attn_q"], self._normed, qkv, width, rows, many=many, wait=False),
            self._linear(
                matrices["attn_k"], self._normed, qkv + 4 * query, width, rows, many=many, wait=False
            ),
            self._linear(
                matrices["attn_v"], self._normed, qkv + 4 * (query + key), width, rows, many=many
            ),
            Operation(
                address(
                    f"rope {kv_type} {head_dim} {group}",
                    lambda: attention.make_rope(kv_type, head_dim, group),
                ),
                rope,
            ),
            Operation(
                address(
                    f"attention {kv_type} {head_dim} {group}",
                    lambda: attention.make_attention(kv_type, head_dim, group),
                ),
                mix,
            ),
            Operation(
                address("quantize", activations.make_quantize),
                (self._mixed.address, query, address_of(rows), *mixed_forms),
            ),
            self._linear(
                matrices["attn_output"], self._mixed, address_of(self._hidden), config.hidden_size, rows,
                many=many, accumulate=True,
            ),  # fmt: skip
            self._norm(f"blk.{layer}.ffn_norm.weight", self._normed, rows, many=many),
            self._linear(
                matrices["ffn_gate"], self._normed, self._gate.address, config.ffn_size, rows,
                many=many, wait=False,
            ),  # fmt: skip
            self._linear(
                matrices["ffn_up"], self._normed, address_of(self._up), config.ffn_size, rows, many=many
            ),
            Operation(
                address("gate", activations.make_gate),
                (self._gate.address, address_of(self._up), config.ffn_size, address_of(rows),
                 *gate_forms),
            ),  # fmt: skip
            self._linear(
                matrices["ffn_down"], self._gate, address_of(self._hidden), config.hidden_size, rows,
                many=many, accumulate=True,
            ),  # fmt: skip
        ]

    def _body_program(self, kv: KVCache, *, many: bool) -> Program:
        return Program(
            [
                operation
                for layer in range(self.config.num_layers)
                for operation in self._layer_program(layer, kv, many=many)
            ]
        )

    def _head_program(self, *, many: bool) -> Program:
        head = self._weights.matrices[head_name(self.config)]
        rows, index = self._output_rows, address_of(self._output_index)
        return Program(
            [
                self._norm("output_norm.weight", self._final, rows, many=many, index=index),
                self._linear(
                    head, self._final, address_of(self._logits), head.panels * 16, rows, many=many
                ),
            ]
        )


def rows_of(columns: int) -> npt.NDArray[np.float32]:
    """Memory for MAX_ROWS rows of floats; pages are only taken as they are written."""
    return allocate(MAX_ROWS * columns * 4).view(np.float32).reshape(MAX_ROWS, columns)


def address_of(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)
