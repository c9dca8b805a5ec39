"""Every encoding's panels, read by the letter of the layouts' description."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.encodings import ENCODINGS, Encoding, by_name
from stillhouse.encodings.i_quants import IQ4_VALUES
from stillhouse.kernels.grids import GRID_OFFSET, GRIDS, Grid
from stillhouse.kernels.layouts import BY_ENCODING, WIDE, Layout, ScaleForm
from stillhouse.kernels.packing import layout_for, pack_panels
from tests.factories import random_blocks

Bytes = npt.NDArray[np.uint8]

QUANTISED = [encoding for encoding in ENCODINGS if encoding.block_size > 1]


def code_at(layout: Layout, chunk: Bytes, row: int, column: int) -> int:
    """One code of a chunk of 32 columns: a lane of four bytes holds a row's neighbours."""
    if layout.grid:
        return grid_code_at(GRIDS[layout.grid], chunk, row, column)
    i, j = divmod(column, 4)
    if layout.code_bits == 8:
        return int(chunk[64 * i + 4 * row + j])
    if layout.code_bits < 4:
        code = int(chunk[64 * (i // 4) + 4 * row + j]) >> 2 * (i % 4) & 3
        if layout.code_bits == 3:
            code |= (int(chunk[128 + 4 * row + j]) >> i & 1) << 2
        return code
    both = int(chunk[64 * (column // 8) + 4 * row + j])
    code = both >> 4 if i % 2 else both & 15
    if layout.code_bits == 5:
        code |= (int(chunk[256 + 4 * row + j]) >> i & 1) << 4
    if layout.code_bits == 6:
        code |= (int(chunk[256 + 64 * (i // 4) + 4 * row + j]) >> 2 * (i % 4) & 3) << 4
    return IQ4_VALUES[code] + 128 if layout.nonlinear else code


def grid_code_at(grid: Grid, chunk: Bytes, row: int, column: int) -> int:
    """A point's index is a byte and bits in words of their own; its signs are a byte or half."""
    number, part = divmod(column, grid.columns)
    vector, i = divmod(number, 4)
    index = int(chunk[64 * vector + 4 * row + i])
    for bit in range(grid.high_bits):
        at = grid.high_bit_at(vector, bit)
        index |= (int(chunk[at : at + 8].view(np.uint64)[0]) >> 4 * row + i & 1) << 8 + bit
    magnitude = int(grid.points()[index, part])
    negative = chunk[grid.signs_at + 4 * row + i] >> 4 * vector + part & 1
    return GRID_OFFSET + (-magnitude if negative else magnitude)


def scales_of(layout: Layout, record: Bytes, row: int) -> list[np.float32]:
    """One row's scales in a record, a group each, products taken."""
    at = layout.scales_at
    if not layout.integer_scales:
        kind = np.float32 if layout.scale_bytes == 4 else np.float16
        floats = record[at : at + layout.groups * 16 * layout.scale_bytes].view(kind)
        return [np.float32(floats[16 * group + row]) for group in range(layout.groups)]
    d = np.float32(record[:32].view(np.float16)[row])
    d *= np.float32(layout.d_factor)
    if layout.scale_form.bits == 8:
        kind = np.int8 if layout.scale_form == ScaleForm.SIGNED_BYTES else np.uint8
        scales = record[at : at + 16 * layout.groups].view(kind)
        return [d * np.float32(scales[16 * group + row]) for group in range(layout.groups)]
    halves = [
        int(record[at + 16 * (group // 2) + row]) >> 4 * (group % 2) & 15
        for group in range(layout.groups)
    ]
    if layout.scale_form == ScaleForm.ODD_HALF_BYTES:
        halves = [2 * half + 1 for half in halves]
    return [d * np.float32(half) for half in halves]


def minima_of(layout: Layout, record: Bytes, row: int) -> list[np.float32]:
    """One row's minima in a record; integers lie as codes do, four groups to a lane."""
    at = layout.minima_at
    if not layout.has_minima:
        return [np.float32(0)] * layout.groups
    if not layout.integer_scales:
        kind = np.float32 if layout.scale_bytes == 4 else np.float16
        floats = record[at : at + layout.groups * 16 * layout.scale_bytes].view(kind)
        return [np.float32(floats[16 * group + row]) for group in range(layout.groups)]
    dmin = np.float32(record[32:64].view(np.float16)[row])
    if layout.scale_form.bits == 4:
        words = record[at : at + 8 * layout.groups].view(np.uint16)
        return [
            dmin * np.float32(words[32 * (g // 8) + 2 * row + g % 2] >> 4 * (g % 8 // 2) & 15)
            for g in range(layout.groups)
        ]
    minima = record[at : at + 16 * layout.groups]
    return [
        dmin * np.float32(minima[64 * (group // 4) + 4 * row + group % 4])
        for group in range(layout.groups)
    ]


@pytest.mark.parametrize("encoding", QUANTISED, ids=lambda encoding: encoding.name)
def test_panels_hold_the_codes_scales_and_minima_of_the_file(encoding: Encoding) -> None:
    layout = layout_for(encoding)
    rows, columns = 20, 2 * max(encoding.block_size, 32)
    rng = np.random.default_rng(0)
    raw = random_blocks(encoding, rows * columns // encoding.block_size, 0.02, rng)
    packed = np.zeros(layout.packed_bytes(rows, columns) + 1, np.uint8)
    for panel in (1, 0):  # panels are independent: threads share them out
        pack_panels(encoding, raw.reshape(rows, -1), columns, packed, panel, panel + 1)
    assert packed[-1] == 0

    codes, scale, minimum, group = encoding.unpack(raw)
    assert group % layout.group == 0
    codes = codes.reshape(rows, columns).astype(np.int64)
    scale = scale.reshape(rows, -1).repeat(group // layout.group, axis=1)
    minima = np.zeros_like(scale)
    if minimum is not None:
        minima = minimum.reshape(rows, -1).repeat(group // layout.group, axis=1)

    records = packed[:-1].reshape(2, columns // layout.span, layout.record_bytes)
    for packed_row in range(32):
        row = min(packed_row, rows - 1)  # a panel that is not full repeats the last row
        panel, lane = divmod(packed_row, 16)
        for number, record in enumerate(records[panel]):
            groups = slice(number * layout.groups, (number + 1) * layout.groups)
            np.testing.assert_array_equal(scales_of(layout, record, lane), scale[row, groups])
            np.testing.assert_array_equal(minima_of(layout, record, lane), minima[row, groups])
            chunks = record[layout.codes_at :].reshape(-1, layout.chunk_bytes)
            found = [code_at(layout, chunk, lane, n) for chunk in chunks for n in range(32)]
            expected = codes[row, number * layout.span : (number + 1) * layout.span]
            np.testing.assert_array_equal(np.array(found) - layout.offset, expected)


@pytest.mark.parametrize("name", BY_ENCODING)
def test_an_encoding_with_a_layout_of_its_own_stays_as_small(name: str) -> None:
    encoding, layout = by_name(name), BY_ENCODING[name]
    in_file = 256 * 16 // encoding.block_size * encoding.block_bytes
    assert layout.packed_bytes(16, 256) == pytest.approx(in_file, rel=0.07)
    assert layout.record_bytes % 16 == 0


def test_any_other_encoding_becomes_bytes_with_scales_for_sixteen() -> None:
    assert {layout_for(e).name for e in QUANTISED if e.name not in BY_ENCODING} == {"wide"}
    assert WIDE.packed_bytes(16, 32) == 512 + 4 * 64 == WIDE.packed_bytes(1, 32)
