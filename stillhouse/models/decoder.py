"""A loaded model: embeddings in, logits out, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import EncodedTensor
from stillhouse.kernels import bandwidth, linear
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.team import Program, Team
from stillhouse.models.batch import Batch
from stillhouse.models.buffers import StepBuffers
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType, kv_bytes_per_token
from stillhouse.models.footprint import STEP_ROWS
from stillhouse.models.kv import KVCache
from stillhouse.models.program import ProgramBuilder, Step, as_program
from stillhouse.models.rope import RopeTable
from stillhouse.models.tracing import Watch, segments
from stillhouse.models.weights import Weights

Progress = Callable[[str, int, int], None]

# Fewer rows cost less with byte dot products, which read each weight once (docs/LOG.md).
_TILES_FROM_ROWS = 5


class _Programs(NamedTuple):
    """With byte dot products, and, where there are any, with matrix tiles for many rows."""

    bytes: Program
    tiles: Program | None

    def for_rows(self, rows: int) -> Program:
        return self.bytes if self.tiles is None or rows < _TILES_FROM_ROWS else self.tiles


class Decoder:
    """A model's weights, kernels and buffers. Not for use from two threads at once.

    Programs are built once for each KV cache; what changes from step to step is written into fixed
    buffers that they read. ``progress("kernels", done, total)`` is called as kernels are compiled.
    """

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
        self._buffers = StepBuffers(config, weights, isa=isa, threads=threads)
        factors = weights.vectors.get("rope_freqs.weight")
        self._rope = RopeTable(config.rope, config.context_length, factors)
        compiler = KernelCompiler()
        self._builder = ProgramBuilder(config, weights, self._buffers, self._rope, compiler, isa)
        needed = sorted(self._builder.kernels().items())
        for done, (name, make) in enumerate(needed, start=1):
            compiler.address(name, make)
            if progress is not None:
                progress("kernels", done, len(needed))
        self._tails = self._programs(self._builder.tail)
        self._bodies: WeakKeyDictionary[KVCache, _Programs] = WeakKeyDictionary()
        self._team = Team(threads)

    def forward(self, batch: Batch, kv: KVCache) -> npt.NDArray[np.float32]:
        """Logits, float32 (len(batch.logit_rows), vocab): a view, valid until the next call."""
        rows, outputs = len(batch.token_ids), len(batch.logit_rows)
        body = self._bodies.get(kv)
        if body is None:
            body = self._programs(partial(self._builder.body, kv))
            self._bodies[kv] = body
        self._place(batch)
        self._team.run(body.for_rows(rows))
        if outputs:
            self._buffers.keep(batch.logit_rows)
            self._team.run(self._tails.for_rows(outputs))
        return self._buffers.logits[:outputs, : self.config.vocab_size]

    def trace(self, batch: Batch, kv: KVCache, watch: Watch) -> None:
        """The same step, stopping before each group of matrices that read the same rows.

        ``watch`` is given the matrices' names and what they read, float32 (rows, columns): a view
        that is valid until it returns. Of the last layer and the head only rows that make logits
        are computed, and the head's product is left out.
        """
        tiles, outputs = linear.uses_tiles(self.isa), len(batch.logit_rows)
        self._place(batch)
        self._walk(self._builder.body(kv, tiles=tiles), len(batch.token_ids), watch)
        if outputs:
            self._buffers.keep(batch.logit_rows)
            self._walk(self._builder.tail(tiles=tiles), outputs, watch)

    def _walk(self, steps: list[Step], rows: int, watch: Watch) -> None:
        for segment in segments(steps):
            if segment.before:
                self._team.run(as_program(segment.before))
            if segment.names:
                watch(segment.names, segment.values[:rows])

    def _place(self, batch: Batch) -> None:
        rows = len(batch.token_ids)
        assert 0 < rows <= STEP_ROWS, f"{rows} rows in one step, and the limit is {STEP_ROWS}"
        self._rope.reach(int(batch.positions.max()))
        self._buffers.place(batch)
        self._buffers.hidden[:rows] = self._embeddings.decode_rows(batch.token_ids)

    def step_bytes(self, context_tokens: int, kv_type: KVType = "bf16") -> int:
        """Bytes read to decode one token: packed weights, an embedding row, and the KV cache."""
        row_bytes = self._embeddings.num_bytes // self.config.vocab_size
        kv_bytes = context_tokens * kv_bytes_per_token(self.config.shape, kv_type)
        return self._weights.matrix_bytes + row_bytes + kv_bytes

    def measure_read_bytes_per_s(self) -> float:
        """What this machine reads from memory: from the weights themselves if they are many."""
        arena = self._weights.arena
        if len(arena) >= bandwidth.BUFFER_BYTES // 2:
            return bandwidth.read_bytes_per_s(arena, self.threads)
        return bandwidth.measure_read_bytes_per_s(self.threads)

    def _programs(self, build: Callable[..., list[Step]]) -> _Programs:
        tiles = as_program(build(tiles=True)) if linear.uses_tiles(self.isa) else None
        return _Programs(as_program(build(tiles=False)), tiles)

    def close(self) -> None:
        """End the worker threads."""
        self._team.close()
