"""Writing the formats whose numbers are points of a grid: IQ2 and IQ3.

First every group finds the real scale that suits it best: for each of a few, its nearest points,
and from these the error that the best scale for them leaves. The largest becomes the highest scale
of four bits, which gives a unit; with that known, each group chooses between the scales beside its
own. Then the unit is fitted to all points by least squares, and the points are searched once more.

Field orders: ggml-common.h, structs block_iq2_xxs to block_iq3_s; see encodings/i_quants.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from stillhouse.encodings import i_quant_grids
from stillhouse.kernels.block_fields import put_byte, put_float_as_half, put_half
from stillhouse.kernels.block_weights import weigh_block
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.grid_scales import (
    REFITS,
    Workspace,
    choose_scales,
    find_suited_scales,
    fit_points,
    workspace,
)
from stillhouse.kernels.grid_search import (
    VALUES,
    WEIGHTS,
    SearchTables,
    nearest_half,
    search_tables,
)

_XXS2, _XS2, _S2, _XXS3, _S3 = range(5)
_TABLES_XXS2 = search_tables(i_quant_grids.iq2_xxs)
_TABLES_XS2 = search_tables(i_quant_grids.iq2_xs)
_TABLES_S2 = search_tables(i_quant_grids.iq2_s)
_TABLES_XXS3 = search_tables(i_quant_grids.iq3_xxs)
_TABLES_S3 = search_tables(i_quant_grids.iq3_s)


@njit(**NJIT_OPTIONS)
def _take_signs(work: Workspace, even: bool) -> None:
    """Take the signs off the values. ``even``: the minus signs of eight numbers must be even in
    number, and where they are not, the number takes the wrong sign that costs least by it.
    """
    values = work.rows[VALUES]
    for eight in range(32):
        bits, count, cheapest, least = 0, 0, 0, np.float32(3e38)
        for n in range(8 * eight, 8 * eight + 8):
            if values[n] < 0:
                bits |= 1 << n % 8
                count += 1
                values[n] = -values[n]
            # 4 * weight * value * coordinate, and the smallest have the lowest coordinate.
            cost = work.rows[WEIGHTS, n] * values[n]
            if cost < least:
                cheapest, least = n, cost
        if even and count % 2:
            bits ^= 1 << cheapest % 8
            values[cheapest] = -values[cheapest]
        work.signs[eight] = bits


@njit(**NJIT_OPTIONS)
def _encode(
    tables: SearchTables,
    kind: int,
    groups: int,
    factor: float,
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    """``factor``: what a number is, over the float16, (2 * scale + 1) and the coordinate."""
    work = workspace(groups)
    num_blocks = values.shape[1] // 256
    block_bytes = blocks.shape[1] // num_blocks
    even = kind in (_XXS2, _XS2, _XXS3)
    for row in range(first, last):
        for block in range(num_blocks):
            out = blocks[row, block * block_bytes : (block + 1) * block_bytes]
            out[:] = 0
            here = slice(256 * block, 256 * block + 256)
            unit = weigh_block(
                values[row, here], importance[here], work.rows[VALUES], work.rows[WEIGHTS]
            )
            if unit == 0:
                continue
            _take_signs(work, even)
            find_suited_scales(tables, work)
            # What a coordinate of 1 at the multiple 1 stands for is the half times `step`, in
            # numbers that are divided by the block's unit.
            step = factor / unit
            half = nearest_half(work.suited.max() / 31 / step)
            value, squared = choose_scales(tables, work, np.float32(half * step))
            for _ in range(REFITS):
                if value > 0:
                    half = nearest_half(value / squared / step)
                    value, squared = fit_points(tables, work, np.float32(half * step))
            # A subnormal half may be so far off that nothing is better: zero bytes mean zeros.
            if half * step * squared < 2 * value:
                put_float_as_half(out.ctypes.data, np.float32(half))
                _put_fields(kind, out.ctypes.data, work.indices, work.signs, work.scales)


@njit(**NJIT_OPTIONS)
def _put_fields(
    kind: int,
    out: int,
    indices: npt.NDArray[np.int16],
    signs: npt.NDArray[np.int64],
    scales: npt.NDArray[np.int64],
) -> None:
    """Everything of a zeroed block but its float16."""
    if kind in (_XS2, _S2):
        at = out + (66 if kind == _XS2 else 74)
        for n in range(8):
            put_byte(at + n, scales[2 * n] | scales[2 * n + 1] << 4)
    elif kind == _S3:
        for n in range(4):
            put_byte(out + 106 + n, scales[2 * n] | scales[2 * n + 1] << 4)
    for chunk in range(8):
        word = scales[chunk] << 28
        for n in range(4):
            word |= (signs[4 * chunk + n] & 127) << 7 * n
        if kind == _XXS2:
            for n in range(4):
                put_byte(out + 2 + 8 * chunk + n, indices[4 * chunk + n])
            put_half(out + 6 + 8 * chunk, word)
            put_half(out + 8 + 8 * chunk, word >> 16)
        elif kind == _XS2:
            for n in range(4 * chunk, 4 * chunk + 4):
                put_half(out + 2 + 2 * n, indices[n] | (signs[n] & 127) << 9)
        elif kind == _S2:
            high = 0
            for n in range(4):
                index = indices[4 * chunk + n]
                put_byte(out + 2 + 4 * chunk + n, index)
                put_byte(out + 34 + 4 * chunk + n, signs[4 * chunk + n])
                high |= (index >> 8) << 2 * n
            put_byte(out + 66 + chunk, high)
        else:
            high = 0
            for n in range(8):
                index = indices[8 * chunk + n]
                put_byte(out + 2 + 8 * chunk + n, index)
                high |= (index >> 8) << n
            if kind == _XXS3:
                put_half(out + 66 + 4 * chunk, word)
                put_half(out + 68 + 4 * chunk, word >> 16)
            else:
                put_byte(out + 66 + chunk, high)
                for n in range(4):
                    put_byte(out + 74 + 4 * chunk + n, signs[4 * chunk + n])


@njit(**NJIT_OPTIONS)
def encode_iq2_xxs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XXS2, _XXS2, 8, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq2_xs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XS2, _XS2, 16, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq2_s(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_S2, _S2, 16, 0.125, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq3_xxs(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_XXS3, _XXS3, 8, 0.25, values, importance, blocks, first, last)


@njit(**NJIT_OPTIONS)
def encode_iq3_s(
    values: npt.NDArray[np.float32],
    importance: npt.NDArray[np.float32],
    blocks: npt.NDArray[np.uint8],
    first: int,
    last: int,
) -> None:
    _encode(_TABLES_S3, _S3, 8, 1.0, values, importance, blocks, first, last)
