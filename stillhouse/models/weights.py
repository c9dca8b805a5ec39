"""A model's matrices, packed into one arena for the kernels that will read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import Tensor
from stillhouse.errors import BadCheckpoint
from stillhouse.kernels.layouts import PANEL_ROWS, Layout
from stillhouse.kernels.memory import allocate
from stillhouse.models import tensors as tensors_of
from stillhouse.models.config import ModelConfig
from stillhouse.models.packed_forms import PackedForm, form_of, pack, rows_columns


@dataclass(frozen=True, slots=True)
class Matrix:
    """A packed matrix: y (rows) = W (rows, columns) x (columns)."""

    name: str
    rows: int
    columns: int
    form: PackedForm
    address: int

    @property
    def layout(self) -> Layout | None:
        return self.form.layout

    @property
    def size_bytes(self) -> int:
        return self.form.size_bytes

    @property
    def panels(self) -> int:
        return -(-self.rows // PANEL_ROWS)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tensor and where its panels will lie."""

    tensor: Tensor
    form: PackedForm
    start: int


class Weights:
    """Every matrix and vector of a model by its GGUF name. One arena of huge pages holds all."""

    def __init__(
        self,
        matrices: Mapping[str, Matrix],
        vectors: Mapping[str, npt.NDArray[np.float32]],
        head: str,
        arena: npt.NDArray[np.uint8],
    ) -> None:
        self.matrices = matrices
        self.vectors = vectors
        self.head = matrices[head]
        self.arena = arena

    @property
    def matrix_bytes(self) -> int:
        return sum(matrix.size_bytes for matrix in self.matrices.values())

    def of_layer(self, layer: int, *parts: str) -> list[Matrix]:
        """One layer's matrices, as "attn_q" or "ffn_up"."""
        return [self.matrices[f"blk.{layer}.{part}.weight"] for part in parts]

    def readers(self, *parts: str) -> list[Matrix]:
        """Those matrices of all layers."""
        names = tuple(f".{part}.weight" for part in parts)
        return [matrix for name, matrix in self.matrices.items() if name.endswith(names)]


def pack_weights(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    *,
    threads: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Weights:
    """Check every tensor that the architecture needs and pack it. Raises BadCheckpoint.

    ``progress("weights", done_bytes, total_bytes)`` is called as packing goes on.
    """
    if config.head_dim % 32:
        raise BadCheckpoint(f"heads of {config.head_dim} numbers: they go by 32 here")
    shapes, vector_shapes = tensors_of.matrices(config.shape), tensors_of.vectors(config.shape)
    checked = shapes | vector_shapes
    checked["token_embd.weight"] = config.vocab_size, config.hidden_size
    if tensors_of.ROPE_FACTORS in tensors:
        checked[tensors_of.ROPE_FACTORS] = (config.rope.dim // 2,)
    for name, shape in checked.items():
        _check(tensors, name, shape)
    plans, start = [], 0
    for name in shapes:
        form = form_of(tensors[name])
        plans.append(_Plan(tensors[name], form, start))
        start += -(-form.size_bytes // 4096) * 4096
    arena = allocate(start + 65536)  # kernels prefetch past a matrix's end
    total_bytes, done_bytes = sum(plan.tensor.num_bytes for plan in plans), 0
    with ThreadPoolExecutor(threads) as pool:
        for plan in plans:
            out = arena[plan.start : plan.start + plan.form.size_bytes]
            order = row_order(config, plan.tensor.name)
            pack(plan.tensor, plan.form, order, out, pool, threads)
            plan.tensor.release()
            done_bytes += plan.tensor.num_bytes
            if progress is not None:
                progress("weights", done_bytes, total_bytes)
    base = int(arena.ctypes.data)
    matrices = {
        plan.tensor.name: Matrix(
            plan.tensor.name,
            *rows_columns(plan.tensor),
            plan.form,
            base + plan.start,
        )
        for plan in plans
    }
    vectors = {name: tensors[name].decode() for name in vector_shapes}
    if tensors_of.ROPE_FACTORS in tensors:
        vectors[tensors_of.ROPE_FACTORS] = tensors[tensors_of.ROPE_FACTORS].decode()
    return Weights(matrices, vectors, tensors_of.head_name(config.shape), arena)


def _check(tensors: Mapping[str, Tensor], name: str, shape: Sequence[int]) -> None:
    if name not in tensors:
        raise BadCheckpoint(f"the file has no tensor {name}")
    tensor = tensors[name]
    if tensor.shape != tuple(shape):
        raise BadCheckpoint(f"tensor {name} is {tensor.shape}, and the model needs {tuple(shape)}")
    if len(shape) == 2 and (shape[1] % 32 or (shape[0] % PANEL_ROWS and "blk." in name)):
        raise BadCheckpoint(
            f"tensor {name} is {tensor.shape}: columns go by 32 here, and rows by {PANEL_ROWS}"
        )


def row_order(config: ModelConfig, name: str) -> npt.NDArray[np.int64] | None:
    """Rows of q and k so that rope pairs i with i + dim / 2, as the kernels do.

    Files of the llama architecture have them as neighbours; the same order on both sides of a dot
    product changes nothing else.
    """
    if config.rope.kind != "interleaved" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return None
    heads = config.num_heads if name.endswith("attn_q.weight") else config.num_kv_heads
    within = np.arange(config.head_dim).reshape(-1, 2).T.reshape(-1)
    return (np.arange(heads)[:, None] * config.head_dim + within).reshape(-1)
