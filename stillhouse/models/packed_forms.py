"""In which form each tensor of a checkpoint is kept in memory, and how it gets there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import CompressedTensor, EncodedTensor, Tensor
from stillhouse.encodings.plain import bf16_bits
from stillhouse.errors import BadCheckpoint
from stillhouse.kernels import linear_float8, linear_row, packing_groups
from stillhouse.kernels.layouts import (
    B4,
    B4F,
    B4MF,
    B8,
    C8,
    PANEL_ROWS,
    VALUE_BYTES,
    WIDE,
    Layout,
)
from stillhouse.kernels.packing import layout_for, pack_panels

Bytes = npt.NDArray[np.uint8]
_Bits = npt.NDArray[np.unsignedinteger[Any]]


class PackedForm(NamedTuple):
    """How a matrix is kept.

    ``layout`` says how codes are packed; None for floats, whose ``encoding`` then names the kernel.
    ``scale_columns``: columns that share a scale of floats of one byte, 0 for a whole row.
    """

    layout: Layout | None
    encoding: str
    size_bytes: int
    scale_columns: int = 0


def form_of(tensor: Tensor) -> PackedForm:
    """The form that loses nothing and reads the fewest bytes. Raises BadCheckpoint."""
    rows, columns = rows_columns(tensor)
    if isinstance(tensor, CompressedTensor):
        layout = _layout_of(tensor)
        if layout is not None:
            return PackedForm(layout, tensor.format_name, layout.packed_bytes(rows, columns))
        if tensor.scheme.is_float:
            shared = tensor.scheme.group_columns
            size_bytes = linear_float8.packed_bytes(rows, columns, shared)
            return PackedForm(None, linear_float8.ENCODING, size_bytes, shared)
        return _floats(tensor.decoded_as, rows, columns)
    if tensor.encoding.block_size > 1:
        layout = layout_for(tensor.encoding)
        return PackedForm(layout, tensor.encoding.name, layout.packed_bytes(rows, columns))
    return _floats(tensor.encoding.name, rows, columns)


def rows_columns(tensor: Tensor) -> tuple[int, int]:
    """The shape of a matrix."""
    rows, columns = tensor.shape
    return rows, columns


def pack(
    tensor: Tensor,
    form: PackedForm,
    order: npt.NDArray[np.int64] | None,
    out: Bytes,
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    """Pack a matrix into ``out``, zeroed memory of ``form.size_bytes``. Raises BadCheckpoint.

    ``order``: which row of the file each row is, where that changes (EncodedTensor alone).
    """
    panels = -(-tensor.shape[0] // PANEL_ROWS)
    edges = list(pairwise(panels * n // threads for n in range(threads + 1)))
    if isinstance(tensor, CompressedTensor):
        assert order is None, "folders keep the rows of their models"
        jobs = [
            pool.submit(_pack_compressed, tensor, form, out, first, last) for first, last in edges
        ]
    else:
        raw = tensor.raw if order is None else tensor.raw[order]
        if form.layout is None:
            _pack_plain(tensor, form, raw, out)
            return
        jobs = [
            pool.submit(pack_panels, tensor.encoding, raw, tensor.shape[1], out, first, last)
            for first, last in edges
        ]
    for job in jobs:
        job.result()


def _floats(encoding: str, rows: int, columns: int) -> PackedForm:
    """Floats as they are; F32 for what has no kernel of its own."""
    kept = encoding if encoding in VALUE_BYTES else "F32"
    size_bytes = -(-rows // PANEL_ROWS) * PANEL_ROWS * columns * VALUE_BYTES[kept]
    return PackedForm(None, kept, size_bytes)


def _layout_of(tensor: CompressedTensor) -> Layout | None:
    """The layout for a matrix of integers; None where columns do not share scales by sixteens."""
    scheme = tensor.scheme
    if scheme.is_float or tensor.group_of_column is not None or scheme.strategy == "block":
        return None
    if scheme.int8_activations and not scheme.group_columns:
        if tensor.shape[1] > linear_row.MAX_COLUMNS:
            raise BadCheckpoint(
                f"tensor {tensor.name} has {tensor.shape[1]} columns of int8; the limit is"
                f" {linear_row.MAX_COLUMNS}"
            )
        return C8
    if scheme.group_columns % WIDE.group:
        return None
    if scheme.group_columns % B4.group:
        return WIDE
    if not scheme.symmetric:
        return B4MF if scheme.bits <= B4MF.code_bits else WIDE
    scales = tensor.scales.decode()
    with np.errstate(over="ignore"):
        is_half = np.array_equal(scales.astype(np.float16).astype(np.float32), scales)
    if scheme.bits <= B4.code_bits:
        return B4 if is_half else B4F
    return B8 if is_half else WIDE


def _pack_compressed(
    tensor: CompressedTensor, form: PackedForm, out: Bytes, first: int, last: int
) -> None:
    """Panels ``first`` to ``last``, one at a time, so that what is unpacked stays small."""
    panel_bytes = form.size_bytes // -(-tensor.shape[0] // PANEL_ROWS)
    for panel in range(first, last):
        target = out[panel * panel_bytes : (panel + 1) * panel_bytes]
        start = panel * PANEL_ROWS
        end = min(start + PANEL_ROWS, tensor.shape[0])
        if form.layout is None and not tensor.scheme.is_float:
            values = tensor.decode_between(start, end)
            _pack_float_panel(_bits(values, form.encoding), target)
            continue
        codes, scales, zero_points = tensor.rows(start, end)
        if form.layout is None:
            if (codes & 0x7F == 0x7F).any():
                raise BadCheckpoint(f"tensor {tensor.name} holds what is not a number")
            linear_float8.pack_panel(codes.view(np.uint8), scales, target)
        elif form.layout is C8:
            linear_row.pack_panel(codes.view(np.int8), scales, zero_points, target)
        else:
            repeat = (tensor.scheme.group_columns or tensor.shape[1]) // form.layout.group
            packing_groups.pack_panel(
                form.layout,
                codes.view(np.int8),
                np.repeat(scales, repeat, axis=1),
                None if zero_points is None else np.repeat(zero_points, repeat, axis=1),
                target,
            )


def _pack_plain(tensor: EncodedTensor, form: PackedForm, raw: Bytes, out: Bytes) -> None:
    rows, columns = rows_columns(tensor)
    if form.encoding != tensor.encoding.name:
        numbers = tensor.encoding.decode(raw.reshape(rows * columns, -1))
        raw = numbers.reshape(rows, columns).view(np.uint8)
    values = raw.view(f"u{VALUE_BYTES[form.encoding]}")
    panels = -(-rows // PANEL_ROWS)
    for panel, target in enumerate(out.reshape(panels, -1)):
        _pack_float_panel(values[panel * PANEL_ROWS : (panel + 1) * PANEL_ROWS], target)


def _pack_float_panel(values: _Bits, out: Bytes) -> None:
    out.view(values.dtype).reshape(-1, PANEL_ROWS)[:, : len(values)] = values.T


def _bits(values: npt.NDArray[np.float32], encoding: str) -> _Bits:
    """Numbers that are exact in a float type, as its bits."""
    if encoding == "BF16":
        return bf16_bits(values)
    return (
        values.astype(np.float16).view(np.uint16) if encoding == "F16" else values.view(np.uint32)
    )
