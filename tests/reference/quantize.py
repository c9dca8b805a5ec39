"""Rounding to the plain scale, in numpy: what a search for scales must not do worse than."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Shape(NamedTuple):
    """Numbers that share a scale, levels of codes and of nested scales (0: none), and the sort."""

    group: int
    levels: int
    scale_levels: int
    affine: bool


SHAPES = {
    "Q4_0": Shape(32, 8, 0, affine=False),
    "Q5_0": Shape(32, 16, 0, affine=False),
    "Q8_0": Shape(32, 128, 0, affine=False),
    "Q3_K": Shape(16, 4, 32, affine=False),
    "Q6_K": Shape(16, 32, 128, affine=False),
    "Q4_1": Shape(32, 15, 0, affine=True),
    "Q5_1": Shape(32, 31, 0, affine=True),
    "Q2_K": Shape(16, 3, 15, affine=True),
    "Q4_K": Shape(32, 15, 63, affine=True),
    "Q5_K": Shape(32, 31, 63, affine=True),
}


def round_plainly(name: str, rows: npt.NDArray[np.float32]) -> Floats:
    """``rows`` (n, columns) in the format and out again: scales from the smallest and largest."""
    shape = SHAPES[name]
    x = rows.astype(np.float64).reshape(-1, 256 if shape.scale_levels else 32)
    x = x.reshape(len(x), -1, shape.group)
    if shape.affine:
        low = x.min(axis=2)
        if shape.scale_levels:
            low = np.minimum(low, 0)
        scale = _nested((x.max(axis=2) - low) / shape.levels, shape.scale_levels)
        offset = -_nested(-low, shape.scale_levels)
        codes = _nearest(x - offset[..., np.newaxis], scale, 0, shape.levels)
        return (codes * scale[..., np.newaxis] + offset[..., np.newaxis]).reshape(rows.shape)
    scale = _nested(np.abs(x).max(axis=2) / (shape.levels - 1), shape.scale_levels)
    codes = _nearest(x, scale, -shape.levels, shape.levels - 1)
    return (codes * scale[..., np.newaxis]).reshape(rows.shape)


def _nested(scale: Floats, levels: int) -> Floats:
    """Rounded to float16; or to whole numbers of a float16 unit, the largest of a block ``levels``
    (one less of a signed one would change little).
    """
    if not levels:
        return scale.astype(np.float16).astype(np.float64)
    top = levels - 1 if levels in (32, 128) else levels
    unit = (np.abs(scale).max(axis=1, keepdims=True) / top).astype(np.float16).astype(np.float64)
    return np.clip(_nearest(scale[..., np.newaxis], unit, 0, top)[..., 0], 0, top) * unit


def _nearest(x: Floats, scale: Floats, lowest: int, highest: int) -> Floats:
    scale = np.broadcast_to(scale, x.shape[:-1])[..., np.newaxis]
    codes = np.divide(x, scale, out=np.zeros_like(x), where=scale != 0)
    return np.clip(np.rint(codes), lowest, highest)
