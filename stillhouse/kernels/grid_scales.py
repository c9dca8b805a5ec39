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
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_search import (
    POINTS,
    ROOM_VECTORS,
    VALUES,
    WEIGHTS,
    WORK_ROWS,
    SearchTables,
    nearest_points,
)

# Scales tried by each group, from this part of the one that makes its largest number the highest
# level; more and closer ones gain a hundredth of the error (benchmarks/quantizers.py).
_TRIES = 5
# As often is the best one refitted, and so is the unit.
REFITS = 1
_FIRST, _STEP = np.float32(0.80), np.float32(1.13)


class Workspace(NamedTuple):
    """One superblock at work."""

    rows: npt.NDArray[np.float32]
    """(WORK_ROWS, 256): see `grid_search`."""
    names: npt.NDArray[np.uint32]
    room: npt.NDArray[np.float32]
    indices: npt.NDArray[np.int16]
    signs: npt.NDArray[np.int64]
    """(32,): a bit for each of eight numbers, the first one's lowest."""
    scales: npt.NDArray[np.int64]
    """(groups,)."""
    suited: npt.NDArray[np.float32]
    """(groups,): the real scales that the groups would choose; 0 for nothing but zeros."""
    trial: npt.NDArray[np.float32]
    with_value: npt.NDArray[np.float32]
    """(groups,): weighted sum of coordinate times value at the scales of ``trial``."""
    squared: npt.NDArray[np.float32]
    """(groups,): and of the coordinate squared."""


@njit(**NJIT_OPTIONS)
def workspace(groups: int) -> Workspace:
    return Workspace(
        np.zeros((WORK_ROWS, 256), np.float32),
        np.zeros(256, np.uint32),
        np.zeros((ROOM_VECTORS, 16), np.float32),
        np.zeros(64, np.int16),
        np.zeros(32, np.int64),
        np.zeros(groups, np.int64),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
        np.zeros(groups, np.float32),
    )


@njit(**NJIT_OPTIONS)
def _try_scales(tables: SearchTables, work: Workspace, indices: npt.NDArray[np.int16]) -> None:
    """Fill ``indices``, and the sums of each group, at the scales of ``trial``."""
    nearest_points(tables, work.trial, work.rows, indices, work.names, work.room)
    size = 256 // work.trial.size
    for group in range(work.trial.size):
        at = work.rows.ctypes.data + 4 * size * group
        with_value, squared = simd.zeros(), simd.zeros()
        for n in range(0, size, 16):
            point = simd.load(at + 4 * (256 * POINTS + n))
            weighted = simd.mul(point, simd.load(at + 4 * (256 * WEIGHTS + n)))
            with_value = simd.fma(weighted, simd.load(at + 4 * n), with_value)
            squared = simd.fma(weighted, point, squared)
        work.with_value[group] = simd.sum_lanes(with_value)
        work.squared[group] = simd.sum_lanes(squared)


@njit(**NJIT_OPTIONS)
def find_suited_scales(tables: SearchTables, work: Workspace) -> None:
    """The scale that leaves each group the least error, of those that are looked at."""
    size = 256 // work.trial.size
    gains = np.zeros(work.trial.size, np.float32)
    for group in range(work.trial.size):
        largest = np.float32(0)
        for n in range(size * group, size * (group + 1)):
            largest = max(largest, abs(work.rows[VALUES, n]))
        work.suited[group] = 0
        work.trial[group] = _FIRST * largest / tables.levels[-1]
    for try_ in range(_TRIES + REFITS):
        if try_ == _TRIES:
            work.trial[:] = work.suited
        for group in range(work.trial.size):
            # Below this nothing would be left of the squares.
            work.trial[group] = max(work.trial[group], np.float32(1e-12))
        _try_scales(tables, work, work.indices)
        for group in range(work.trial.size):
            value, squared = work.with_value[group], work.squared[group]
            if value > 0 and value * value >= gains[group] * squared:
                gains[group] = value * value / squared
                work.suited[group] = value / squared
            work.trial[group] *= _STEP


@njit(**NJIT_OPTIONS)
def choose_scales(
    tables: SearchTables, work: Workspace, unit: np.float32
) -> tuple[np.float32, np.float32]:
    """Fill ``scales`` and ``indices``, at a given unit: each group has the whole scale that is
    nearest to what suits it, or the next on its other side.

    Returns the sums over the superblock of (2 * scale + 1) times coordinate times value, and of the
    square of the first two, weighted.
    """
    groups, a_group = work.trial.size, 256 // work.trial.size // tables.columns
    places = (work.suited / unit - np.float32(1)) / np.float32(2)
    left = np.full(groups, np.float32(3e38), np.float32)
    sums = np.zeros((2, groups), np.float32)
    indices = np.empty(64, np.int16)
    tried = np.empty(groups, np.int64)
    for try_ in range(2):
        for group in range(groups):
            tried[group] = int(min(max(np.rint(places[group]), np.float32(0)), np.float32(15)))
            if try_ == 1:
                tried[group] += 1 if places[group] > tried[group] else -1
                tried[group] = min(max(tried[group], 0), 15)
            work.trial[group] = unit * np.float32(2 * tried[group] + 1)
        _try_scales(tables, work, indices)
        for group in range(groups):
            multiple = np.float32(2 * tried[group] + 1)
            value = multiple * work.with_value[group]
            squared = multiple * multiple * work.squared[group]
            if unit * squared - np.float32(2) * value < left[group]:
                left[group] = unit * squared - np.float32(2) * value
                sums[0, group], sums[1, group] = value, squared
                work.scales[group] = tried[group]
                for n in range(a_group * group, a_group * (group + 1)):
                    work.indices[n] = indices[n]
    return sums[0].sum(), sums[1].sum()


@njit(**NJIT_OPTIONS)
def fit_points(
    tables: SearchTables, work: Workspace, unit: np.float32
) -> tuple[np.float32, np.float32]:
    """As `choose_scales`, with the scales as they are."""
    for group in range(work.trial.size):
        work.trial[group] = unit * np.float32(2 * work.scales[group] + 1)
    _try_scales(tables, work, work.indices)
    value, squared = np.float32(0), np.float32(0)
    for group in range(work.trial.size):
        multiple = np.float32(2 * work.scales[group] + 1)
        value += multiple * work.with_value[group]
        squared += multiple * multiple * work.squared[group]
    return value, squared
