"""A model's matrices, packed into one arena for the kernels that will read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import EncodedTensor
from stillhouse.errors import BadCheckpoint
from stillhouse.kernels.layouts import PANEL_ROWS, Layout
from stillhouse.kernels.linear_float import VALUE_BYTES
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.packing import layout_for, pack_panels
from stillhouse.models.config import ModelConfig

_ROPE_FACTORS = "rope_freqs.weight"  # Llama 3's, where the file has them
_Bits = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A packed matrix: y (rows) = W (rows, columns) x (columns).

    ``layout`` says how it is packed; None for floats, whose ``encoding`` then names the kernel.
    """

    name: str
    rows: int
    columns: int
    layout: Layout | None
    encoding: str
    address: int
    size_bytes: int

    @property
    def panels(self) -> int:
        return -(-self.rows // PANEL_ROWS)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tensor and where its panels will lie."""

    tensor: EncodedTensor
    layout: Layout | None
    encoding: str  # for plain numbers: the type kept, F32 for what has no kernel of its own
    start: int
    size_bytes: int


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
    tensors: Mapping[str, EncodedTensor],
    *,
    threads: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Weights:
    """Check every tensor that the architecture needs and pack it. Raises BadCheckpoint.

    ``progress("weights", done_bytes, total_bytes)`` is called as packing goes on.
    """
    if config.head_dim % 32:
        raise BadCheckpoint(f"heads of {config.head_dim} numbers: they go by 32 here")
    shapes = expected_matrices(config)
    checked = shapes | expected_vectors(config)
    checked["token_embd.weight"] = config.vocab_size, config.hidden_size
    if _ROPE_FACTORS in tensors:
        checked[_ROPE_FACTORS] = (config.rope.dim // 2,)
    for name, shape in checked.items():
        _check(tensors, name, shape)
    plans, start = [], 0
    for name in shapes:
        tensor = tensors[name]
        size_bytes, layout, encoding = _packed_form(tensor)
        plans.append(_Plan(tensor, layout, encoding, start, size_bytes))
        start += -(-size_bytes // 4096) * 4096
    arena = allocate(start + 65536)  # kernels prefetch past a matrix's end
    total_bytes, done_bytes = sum(plan.tensor.num_bytes for plan in plans), 0
    with ThreadPoolExecutor(threads) as pool:
        for plan in plans:
            _pack(config, plan, arena[plan.start : plan.start + plan.size_bytes], pool, threads)
            plan.tensor.release()
            done_bytes += plan.tensor.num_bytes
            if progress is not None:
                progress("weights", done_bytes, total_bytes)
    base = int(arena.ctypes.data)
    matrices = {
        plan.tensor.name: Matrix(
            plan.tensor.name,
            *_rows_columns(plan.tensor),
            plan.layout,
            plan.encoding,
            base + plan.start,
            plan.size_bytes,
        )
        for plan in plans
    }
    vectors = {name: tensors[name].decode() for name in expected_vectors(config)}
    if _ROPE_FACTORS in tensors:
        vectors[_ROPE_FACTORS] = tensors[_ROPE_FACTORS].decode()
    return Weights(matrices, vectors, head_name(config), arena)


def expected_matrices(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The linear layers of the architecture, by GGUF name: (rows, columns). The head comes last."""
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    hidden, ffn = config.hidden_size, config.ffn_size
    parts = {
        "attn_q": (query, hidden),
        "attn_k": (key, hidden),
        "attn_v": (key, hidden),
        "attn_output": (hidden, query),
        "ffn_gate": (ffn, hidden),
        "ffn_up": (ffn, hidden),
        "ffn_down": (hidden, ffn),
    }
    shapes: dict[str, tuple[int, ...]] = {
        f"blk.{layer}.{part}.weight": shape
        for layer in range(config.num_layers)
        for part, shape in parts.items()
    }
    shapes[head_name(config)] = (config.vocab_size, hidden)
    return shapes


def expected_vectors(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Norms and biases of the architecture, by GGUF name."""
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    parts = {"attn_norm.weight": config.hidden_size, "ffn_norm.weight": config.hidden_size}
    if config.architecture.has_qkv_bias:
        parts |= {"attn_q.bias": query, "attn_k.bias": key, "attn_v.bias": key}
    if config.architecture.has_qk_norm:
        parts |= {"attn_q_norm.weight": config.head_dim, "attn_k_norm.weight": config.head_dim}
    shapes: dict[str, tuple[int, ...]] = {
        f"blk.{layer}.{part}": (size,)
        for layer in range(config.num_layers)
        for part, size in parts.items()
    }
    shapes["output_norm.weight"] = (config.hidden_size,)
    return shapes


def head_name(config: ModelConfig) -> str:
    """The matrix that makes logits: the embedding table where the two are tied."""
    return "token_embd.weight" if config.tied_embeddings else "output.weight"


def _check(tensors: Mapping[str, EncodedTensor], name: str, shape: Sequence[int]) -> None:
    if name not in tensors:
        raise BadCheckpoint(f"the file has no tensor {name}")
    tensor = tensors[name]
    if tensor.shape != tuple(shape):
        raise BadCheckpoint(f"tensor {name} is {tensor.shape}, and the model needs {tuple(shape)}")
    if len(shape) == 2 and (shape[1] % 32 or (shape[0] % PANEL_ROWS and "blk." in name)):
        raise BadCheckpoint(
            f"tensor {name} is {tensor.shape}: columns go by 32 here, and rows by {PANEL_ROWS}"
        )


def _rows_columns(tensor: EncodedTensor) -> tuple[int, int]:
    rows, columns = tensor.shape
    return rows, columns


def _packed_form(tensor: EncodedTensor) -> tuple[int, Layout | None, str]:
    rows, columns = _rows_columns(tensor)
    if tensor.encoding.block_size > 1:
        layout = layout_for(tensor.encoding)
        return layout.packed_bytes(rows, columns), layout, tensor.encoding.name
    kept = tensor.encoding.name if tensor.encoding.name in VALUE_BYTES else "F32"
    return -(-rows // PANEL_ROWS) * PANEL_ROWS * columns * VALUE_BYTES[kept], None, kept


def _pack(
    config: ModelConfig,
    plan: _Plan,
    out: npt.NDArray[np.uint8],
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    raw = plan.tensor.raw
    order = _row_order(config, plan.tensor.name)
    if order is not None:
        raw = raw[order]
    rows, columns = _rows_columns(plan.tensor)
    panels = -(-rows // PANEL_ROWS)
    if plan.layout is None:
        if plan.encoding != plan.tensor.encoding.name:
            numbers = plan.tensor.encoding.decode(raw.reshape(rows * columns, -1))
            raw = numbers.reshape(rows, columns).view(np.uint8)
        _pack_floats(raw.view(f"u{VALUE_BYTES[plan.encoding]}"), out, panels)
        return
    edges = [panels * n // threads for n in range(threads + 1)]
    jobs = [
        pool.submit(pack_panels, plan.tensor.encoding, raw, columns, out, first, last)
        for first, last in pairwise(edges)
    ]
    for job in jobs:
        job.result()


def _pack_floats(values: _Bits, out: npt.NDArray[np.uint8], panels: int) -> None:
    target = out.view(values.dtype).reshape(panels, -1, PANEL_ROWS)
    for panel in range(panels):
        part = values[panel * PANEL_ROWS : (panel + 1) * PANEL_ROWS]
        target[panel, :, : len(part)] = part.T


def _row_order(config: ModelConfig, name: str) -> npt.NDArray[np.int64] | None:
    """Rows of q and k so that rope pairs i with i + dim / 2, as the kernels do.

    Files of the llama architecture have them as neighbours; the same order on both sides of a dot
    product changes nothing else.
    """
    if config.rope.kind != "interleaved" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return None
    heads = config.num_heads if name.endswith("attn_q.weight") else config.num_kv_heads
    within = np.arange(config.head_dim).reshape(-1, 2).T.reshape(-1)
    return (np.arange(heads)[:, None] * config.head_dim + within).reshape(-1)
