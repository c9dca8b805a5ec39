"""Codes with a float scale for every few columns, from arrays into panels (see layouts.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.kernels.layouts import PANEL_ROWS, Layout

Floats = npt.NDArray[np.float32]


def pack_panel(
    layout: Layout,
    codes: npt.NDArray[np.int8],
    scales: Floats,
    zero_points: npt.NDArray[np.int8] | None,
    out: npt.NDArray[np.uint8],
) -> None:
    """Pack up to sixteen rows of w = (code - zero point) * scale into one zeroed panel.

    ``codes``: (rows, columns), of as many bits as the layout's; ``scales`` and ``zero_points``:
    (rows, columns / layout.group). Without room for minima there may be no zero points; without an
    offset, codes count from the middle of their bits, and the minima say so.
    """
    rows, columns = codes.shape
    records = columns // layout.span
    panel = out.reshape(records, layout.record_bytes)
    middle = layout.offset or 1 << (layout.code_bits - 1)
    _put_header(panel[:, layout.scales_at : layout.minima_at], layout, scales)
    if layout.has_minima:
        zeros = np.zeros(scales.shape, np.float32) if zero_points is None else zero_points
        # w = scale * (stored - middle - zero point); an offset takes the middle away by itself.
        shift = 0 if layout.offset else middle
        minima = scales * (zeros.astype(np.float32) + np.float32(shift))
        _put_header(panel[:, layout.minima_at : layout.codes_at], layout, minima)
    stored = np.zeros((PANEL_ROWS, columns), np.uint8)
    stored[:rows] = (codes.astype(np.int16) + middle).astype(np.uint8)
    lanes = stored.reshape(PANEL_ROWS, records, -1, 4)
    if layout.code_bits == 4:  # low halves: columns 8c + j, high halves: 8c + 4 + j
        lanes = lanes[:, :, 0::2] | lanes[:, :, 1::2] << np.uint8(4)
    panel[:, layout.codes_at :] = lanes.transpose(1, 2, 0, 3).reshape(records, -1)


def _put_header(header: npt.NDArray[np.uint8], layout: Layout, values: Floats) -> None:
    """Values (rows, groups of all records) to a header of each record: (groups, sixteen rows)."""
    padded = np.zeros((PANEL_ROWS, values.shape[1]), f"<f{layout.scale_bytes}")
    padded[: len(values)] = values
    ordered = padded.reshape(PANEL_ROWS, len(header), -1).transpose(1, 2, 0)
    header[:] = np.ascontiguousarray(ordered).reshape(len(header), -1).view(np.uint8)
