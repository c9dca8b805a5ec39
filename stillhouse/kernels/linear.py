"""What the linear kernels of every layout have in common: their arguments, and which one serves
what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from stillhouse.kernels import linear_block, linear_superblock, linear_tiles
from stillhouse.kernels.isa import Isa, Prefetch
from stillhouse.kernels.layouts import Layout


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


class BlockShape(NamedTuple):
    """Accumulators kept in registers by a kernel for many rows: as many as the registers allow."""

    rows: int
    panels: int


BLOCK_SHAPES: dict[Isa, BlockShape] = {
    Isa.PORTABLE: BlockShape(2, 1),
    Isa.AVX2: BlockShape(2, 1),
    Isa.AVX512_VNNI: BlockShape(6, 2),
    Isa.AMX: BlockShape(6, 2),
}


def make_matvec(isa: Isa, layout: Layout, ahead: Prefetch) -> Callable[[], Any]:
    """A maker for KernelCompiler.address: one row of activations."""
    family = linear_superblock if layout.integer_scales else linear_block
    return lambda: family.make_matvec(isa, layout, ahead)


def uses_tiles(isa: Isa) -> bool:
    """Whether many rows are multiplied on matrix tiles, from bf16 activations."""
    return isa >= Isa.AMX


def make_matmul(isa: Isa, layout: Layout) -> Callable[[], Any]:
    """A maker for KernelCompiler.address: any number of rows."""
    if uses_tiles(isa):
        return lambda: linear_tiles.make_matmul(isa, layout)
    family = linear_superblock if layout.integer_scales else linear_block
    return lambda: family.make_matmul(isa, layout, *BLOCK_SHAPES[isa])


def scratch_bytes(isa: Isa, layout: Layout, columns: int) -> int:
    """What a thread needs to unpack the panels that it works on."""
    if uses_tiles(isa):
        return linear_tiles.scratch_bytes()
    family = linear_superblock if layout.integer_scales else linear_block
    record: int = family.unpacked_record_bytes(layout)
    return BLOCK_SHAPES[isa].panels * (columns // layout.span) * record
