"""The scales of a superblock of grid points: what would suit each group, and what it can have.

A superblock of 256 numbers has one unit and a scale of four bits for each group, 32 or 16 of them;
a number is ``unit * (2 * scale + 1) * coordinate``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.block_weights import VALUES, WEIGHTS
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_search import (
    POINTS,
    ROOM_VECTORS,
    WORK_ROWS,
    SearchTables,
    nearest_points,
)

# Scales tried by each group, from this part of the one that makes its largest number the highest
# level. Nine, closer to each other, leave up to a hundredth less error and take half as long again.
_TRIES = 5
_FIRST, _STEP = np.float32(0.80), np.float32(1.13)

# How often the best of them is refitted, and how often the unit.
REFITS = 1

# Rows of figures by group: the real scale that the group would choose (0 for nothing but zeros);
# the scale that is tried; at that one, the weighted sums of coordinate times value and of
# coordinate squared; the best gain of a try, or the least error left; the sums of the best choice.
_SUITED, _TRIAL, _PRODUCT, _SQUARED, _BEST, _BEST_PRODUCT, _BEST_SQUARED = range(7)


class Workspace(NamedTuple):
    """One superblock at work."""

    rows: npt.NDArray[np.float32]
    """(WORK_ROWS, 256): see `grid_search`."""
    names: npt.NDArray[np.uint32]
    room: npt.NDArray[np.float32]
    figures: npt.NDArray[np.float32]
    """(7, groups)."""
    indices: npt.NDArray[np.int16]
    """(2, 64): the points chosen, and those of the last try."""
    scales: npt.NDArray[np.int64]
    """(2, groups): likewise."""
    signs: npt.NDArray[np.int64]
    """(32,): a bit for each of eight numbers, the first one's lowest."""


@njit(**NJIT_OPTIONS)
def workspace(groups: int) -> Workspace:
    return Workspace(
        np.zeros((WORK_ROWS, 256), np.float32),
        np.zeros(256, np.uint32),
        np.zeros((ROOM_VECTORS, 16), np.float32),
        np.zeros((7, groups), np.float32),
        np.zeros((2, 64), np.int16),
        np.zeros((2, groups), np.int64),
        np.zeros(32, np.int64),
    )


@njit(**NJIT_OPTIONS)
def _try_scales(tables: SearchTables, work: Workspace, groups: int) -> None:
    """Find the points at the scales of _TRIAL, and each group's sums."""
    nearest_points(tables, work.figures[_TRIAL], work.rows, work.indices[1], work.names, work.room)
    size = 256 // groups
    for group in range(groups):
        at = work.rows.ctypes.data + 4 * size * group
        product, squared = simd.zeros(), simd.zeros()
        for n in range(0, size, 16):
            point = simd.load(at + 4 * (256 * POINTS + n))
            weighted = simd.mul(point, simd.load(at + 4 * (256 * WEIGHTS + n)))
            product = simd.fma(weighted, simd.load(at + 4 * n), product)
            squared = simd.fma(weighted, point, squared)
        work.figures[_PRODUCT, group] = simd.sum_lanes(product)
        work.figures[_SQUARED, group] = simd.sum_lanes(squared)


@njit(**NJIT_OPTIONS)
def find_suited_scales(tables: SearchTables, work: Workspace, groups: int) -> np.float32:
    """The scale that leaves each group the least error, of those that are looked at. Returns the
    largest.
    """
    figures, size = work.figures, 256 // groups
    for group in range(groups):
        largest = np.float32(0)
        for n in range(size * group, size * (group + 1)):
            largest = max(largest, abs(work.rows[VALUES, n]))
        figures[_SUITED, group] = figures[_BEST, group] = 0
        figures[_TRIAL, group] = _FIRST * largest / tables.levels[-1]
    for try_ in range(_TRIES + REFITS):
        for group in range(groups):
            if try_ >= _TRIES:
                figures[_TRIAL, group] = figures[_SUITED, group]
            # Below this nothing would be left of the squares.
            figures[_TRIAL, group] = max(figures[_TRIAL, group], np.float32(1e-12))
        _try_scales(tables, work, groups)
        for group in range(groups):
            product, squared = figures[_PRODUCT, group], figures[_SQUARED, group]
            if product > 0 and product * product >= figures[_BEST, group] * squared:
                figures[_BEST, group] = product * product / squared
                figures[_SUITED, group] = product / squared
            figures[_TRIAL, group] *= _STEP
    largest = np.float32(0)
    for group in range(groups):
        largest = max(largest, figures[_SUITED, group])
    return largest


@njit(**NJIT_OPTIONS)
def choose(
    tables: SearchTables, work: Workspace, groups: int, unit: np.float32, keep_scales: bool
) -> None:
    """Choose points at a given unit, and scales unless they are kept: for each group the whole
    scale that is nearest to what suits it, or the next on its other side.
    """
    figures, scales = work.figures, work.scales
    for group in range(groups):
        figures[_BEST, group] = np.float32(3e38)
    for try_ in range(1 if keep_scales else 2):
        for group in range(groups):
            place = (figures[_SUITED, group] / unit - np.float32(1)) / np.float32(2)
            scale = int(min(max(np.rint(place), np.float32(0)), np.float32(15)))
            if keep_scales:
                scale = scales[0, group]
            elif try_ == 1:
                scale = min(max(scale + 1 if place > scale else scale - 1, 0), 15)
            scales[1, group] = scale
        _keep_better(tables, work, groups, unit)


@njit(**NJIT_OPTIONS)
def _keep_better(tables: SearchTables, work: Workspace, groups: int, unit: np.float32) -> None:
    """Try the second row of scales, and choose it where it leaves less than _BEST."""
    figures, scales, indices = work.figures, work.scales, work.indices
    for group in range(groups):
        figures[_TRIAL, group] = unit * np.float32(2 * scales[1, group] + 1)
    _try_scales(tables, work, groups)
    a_group = 256 // tables.columns // groups
    for group in range(groups):
        multiple = np.float32(2 * scales[1, group] + 1)
        product = multiple * figures[_PRODUCT, group]
        squared = multiple * multiple * figures[_SQUARED, group]
        left = unit * squared - np.float32(2) * product
        if left < figures[_BEST, group]:
            figures[_BEST, group] = left
            figures[_BEST_PRODUCT, group], figures[_BEST_SQUARED, group] = product, squared
            scales[0, group] = scales[1, group]
            for n in range(a_group * group, a_group * (group + 1)):
                indices[0, n] = indices[1, n]


@njit(**NJIT_OPTIONS)
def chosen_sums(work: Workspace, groups: int) -> tuple[np.float32, np.float32]:
    """Over the superblock: (2 * scale + 1) times coordinate times value, and the square of the
    first two, both weighted.
    """
    product, squared = np.float32(0), np.float32(0)
    for group in range(groups):
        product += work.figures[_BEST_PRODUCT, group]
        squared += work.figures[_BEST_SQUARED, group]
    return product, squared
