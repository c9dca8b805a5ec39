"""What each format would cost in each matrix, measured on some of its rows.

The cost is the error's share of the output: the sum over columns of importance times squared error,
by that of importance times squared weight. Where shares are small, the KL divergence from the
source grows in proportion to each, and those of all matrices add up (arXiv:2411.17525); by how
much, is a matter of the matrix's kind and of how deep it lies: `_DIVERGENCE_BY_SHARE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from stillhouse.encodings import by_name
from stillhouse.errors import UsageError
from stillhouse.kernels.quantizers import has_quantizer
from stillhouse.models.tensors import head_name
from stillhouse.quantize.importance_facts import Importance
from stillhouse.quantize.rows import encode_rows
from stillhouse.quantize.source import Source, SourceTensor

# KL divergence in nats by share of error: of one matrix in the first layer, in those between, in
# the last, whose feed-forward network takes back what the others put into a few large columns.
# Geometric means of SmolLM2-135M's and Qwen2.5-Coder-0.5B's, benchmarks/kind_sensitivity.py; of the
# head too, which is the table in the one and a matrix of its own in the other.
_DIVERGENCE_BY_SHARE: Mapping[str, tuple[float, float, float]] = {
    "attn_q": (0.10, 0.034, 0.028),
    "attn_k": (0.11, 0.050, 0.027),
    "attn_v": (0.17, 0.15, 0.069),
    "attn_output": (0.17, 0.054, 0.064),
    "ffn_gate": (0.22, 0.068, 0.18),
    "ffn_up": (0.30, 0.12, 1.7),
    "ffn_down": (0.42, 0.15, 0.35),
}
_HEAD = 4.6
_TABLE = 0.15

_FORMATS = ("Q2_K", "Q3_K", "IQ4_XS", "Q4_K", "Q5_K", "Q6_K", "Q8_0")
_WITH_IMPORTANCE = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
_SMALL_BLOCKS = ("IQ4_NL", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
_SAMPLED = 1 << 16  # numbers of each matrix


@dataclass(frozen=True, slots=True)
class Choice:
    """A format for one matrix: `loss` is the divergence that it is expected to add, in nats."""

    encoding: str
    num_bytes: int  # with the padding behind it
    loss: float


def measured_choices(
    source: Source,
    names: Sequence[str],
    *,
    importance: Importance | None,
    threads: int,
    alignment: int,
    progress: Callable[[int, int], None],
) -> dict[str, list[Choice]]:
    """Every format that each matrix could have, by rising size."""
    found = {}
    for number, name in enumerate(names):
        progress(number, len(names))
        tensor = source.tensors[name]
        weights = None if importance is None else importance.get(name)
        factor = divergence_by_share(name, source)
        rows = _sample(tensor)
        choices = []
        for encoding in candidates(tensor.shape[-1], has_importance=weights is not None):
            form = by_name(encoding)
            num_bytes = prod(tensor.shape) // form.block_size * form.block_bytes
            num_bytes += -num_bytes % alignment
            share = error_share(encoding, rows, weights, threads=threads, name=name)
            choices.append(Choice(encoding, num_bytes, factor * share))
        tensor.release()
        found[name] = sorted(choices, key=lambda choice: (choice.num_bytes, choice.loss))
    return found


def candidates(columns: int, *, has_importance: bool) -> list[str]:
    """Formats whose blocks divide the rows. Raises UsageError where there are none."""
    names = [*_FORMATS, *_SMALL_BLOCKS, *(_WITH_IMPORTANCE if has_importance else ())]
    fitting = [
        name
        for name in dict.fromkeys(names)
        if columns % by_name(name).block_size == 0 and has_quantizer(name)
    ]
    if not fitting:
        raise UsageError(f"no format has blocks that divide rows of {columns}")
    return fitting


def error_share(
    encoding: str,
    rows: NDArray[np.float32],
    importance: NDArray[np.float32] | None,
    *,
    threads: int,
    name: str,
) -> float:
    """Squared error by squared weights, both weighed by importance; 0 for rows of zeros."""
    form = by_name(encoding)
    blocks = encode_rows(encoding, rows, importance, threads=threads, name=name)
    decoded = form.decode(blocks.reshape(-1, form.block_bytes)).reshape(rows.shape)
    weights = 1.0 if importance is None else importance.astype(np.float64)
    error = (weights * np.square(rows - decoded, dtype=np.float64)).sum()
    whole = (weights * np.square(rows, dtype=np.float64)).sum()
    return float(error / whole) if whole > 0 else 0.0


def divergence_by_share(name: str, source: Source) -> float:
    """How much divergence an error in this matrix makes."""
    shape = source.config.shape
    if name == head_name(shape):
        return _HEAD
    if not name.startswith("blk."):
        return _TABLE
    _, layer, kind, _ = name.split(".")
    first, between, last = _DIVERGENCE_BY_SHARE[kind]
    return {0: first, shape.num_layers - 1: last}.get(int(layer), between)


def _sample(tensor: SourceTensor) -> NDArray[np.float32]:
    """Rows from all over the matrix."""
    count = min(tensor.num_rows, max(16, _SAMPLED // tensor.shape[-1]))
    at = np.linspace(0, tensor.num_rows - 1, count).astype(int)
    return np.concatenate([tensor.decoded_rows(row, row + 1) for row in map(int, at)])
