"""Nearest points of grids, against a look at every point."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from stillhouse.kernels.block_weights import VALUES, WEIGHTS
from stillhouse.kernels.grid_search import (
    POINTS,
    ROOM_VECTORS,
    WORK_ROWS,
    nearest_half,
    nearest_points,
    search_tables,
)
from stillhouse.kernels.grids import GRIDS


@njit
def _half(x: float) -> float:
    return nearest_half(x)


@pytest.mark.parametrize("name", GRIDS)
def test_no_point_of_the_grid_is_nearer_than_the_one_that_is_found(name: str) -> None:
    random = np.random.default_rng(3)
    grid = GRIDS[name].points().astype(np.float64)
    groups, columns = 8, grid.shape[1]
    work = np.zeros((WORK_ROWS, 256), np.float32)
    # A few are negative: what a parity of signs leaves behind.
    work[VALUES] = np.abs(random.normal(size=256)) - 0.05
    work[WEIGHTS] = random.lognormal(0, 1.5, 256)
    scales = (random.uniform(0.3, 3, groups) / grid.max()).astype(np.float32)
    indices = np.zeros(64, np.int16)
    room = np.zeros((ROOM_VECTORS, 16), np.float32)
    tables = search_tables(GRIDS[name].points)
    nearest_points(tables, scales, work, indices, np.zeros(256, np.uint32), room)

    targets = (work[VALUES] / np.repeat(scales, 256 // groups)).reshape(-1, 1, columns)
    weights = work[WEIGHTS].reshape(-1, 1, columns)
    costs = (weights * (targets - grid) ** 2).sum(axis=2)
    found = indices[: 256 // columns]
    cost = costs[np.arange(len(found)), found]
    assert (cost <= costs.min(axis=1) * (1 + 1e-5)).all()
    assert np.array_equal(work[POINTS].reshape(-1, columns), grid[found])


def test_halves_are_rounded_to_the_nearest_even_and_stay_finite() -> None:
    for x in (1e-30, 2.0**-25 * 1.01, 1 / 3, 1 + 2.0**-11, -0.1, 65519.0):
        assert _half(x) == np.float16(x) or (abs(x) < 2.0**-25 and _half(x) == 2.0**-24)
    assert _half(1e30) == 65504
    assert _half(-1e30) == -65504
