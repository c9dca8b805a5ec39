"""What the linear kernels of every layout have in common: their arguments, and which one serves
what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from stillhouse.kernels import linear_block, linear_row, linear_superblock, linear_tiles
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import WHOLE_ROW, Layout


class LinearArguments(NamedTuple):
    """y (rows, 16 * panels) = W x, or y += W x: the argument block of every linear kernel, in this
    order.

    All are addresses but ``panels``, ``columns``, ``out_stride`` and ``scratch_stride`` (counts,
    bytes) and ``accumulate`` (0 or 1). ``rows`` is the address of the number of rows, as that
    changes from step to step. The activations' parts are described in ``activations.py``.
    """

    weights: int
    panels: int
    columns: int
    x: int
    x_scales: int
    sums16: int
    sums32: int
    split_sums: int
    out: int
    out_stride: int
    accumulate: int
    rows: int
    scratch: int
    scratch_stride: int


def uses_tiles(isa: Isa) -> bool:
    """Whether many rows are multiplied on matrix tiles, from bf16 activations."""
    return isa >= Isa.AMX


def has_tiles(layout: Layout) -> bool:
    """Whether there is a kernel on matrix tiles for the layout; others use that for bytes."""
    return layout.span != WHOLE_ROW


def make_matmul(isa: Isa, layout: Layout, *, tiles: bool) -> Callable[[], Any]:
    """A maker for KernelCompiler.address: any number of rows, as int8 or, on ``tiles``, as bf16."""
    if layout.span == WHOLE_ROW:
        return lambda: linear_row.make_matmul(isa)
    if tiles:
        return lambda: linear_tiles.make_matmul(isa, layout)
    family = linear_superblock if layout.integer_scales else linear_block
    return lambda: family.make_matmul(isa, layout)


def scratch_bytes(isa: Isa) -> int:
    """What a thread needs to unpack weights."""
    return linear_tiles.scratch_bytes() if uses_tiles(isa) else 0
