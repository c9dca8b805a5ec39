"""From a file's blocks to panels (see layouts.py): what happens to a weight once, when a model is
loaded.

Each encoding with a layout of its own has a short kernel that takes a block apart; codes move four
at a time, as 32-bit words, for a row's four neighbouring codes stay together in a lane. Everything
else comes through its numpy decoder as codes, scales and minima, and is packed as WIDE.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from stillhouse.encodings import Encoding
from stillhouse.kernels import simd
from stillhouse.kernels.block_fields import load_byte, load_half, load_word, put_half
from stillhouse.kernels.compiler import NJIT_OPTIONS, compile_cached
from stillhouse.kernels.grids import GRIDS
from stillhouse.kernels.layouts import BY_ENCODING, PANEL_ROWS, WIDE, Layout
from stillhouse.kernels.memory import allocate_small
from stillhouse.kernels.packing_grids import KINDS, pack_grids
from stillhouse.kernels.packing_k_quants import (
    split_q2_k,
    split_q3_k,
    split_q4_k,
    split_q5_k,
    split_q6_k,
)

Bytes = npt.NDArray[np.uint8]


@njit(inline="always", **NJIT_OPTIONS)
def _put_codes(code_bits: int, codes: int, chunk: int, row: int) -> None:
    """Write one row's 32 codes (bytes at ``codes``) into a chunk."""
    lane = chunk + 4 * row
    if code_bits == 8:
        for step in range(8):
            simd.store_i32(lane + 64 * step, load_word(codes + 4 * step))
        return
    nibbles, single, pairs = 0, 0, 0
    pairs_at = lane + 256 if code_bits == 6 else lane
    for step in range(8):
        four = load_word(codes + 4 * step)
        if code_bits >= 4:
            nibbles |= (four & 0x0F0F0F0F) << 4 * (step % 2)
            if step % 2 == 1:
                simd.store_i32(lane + 64 * (step // 2), nibbles)
                nibbles = 0
            four >>= 4
        pairs |= (four & 0x03030303) << 2 * (step % 4)
        if step % 4 == 3:
            if code_bits == 6 or code_bits < 4:
                simd.store_i32(pairs_at + 64 * (step // 4), pairs)
            pairs = 0
        if code_bits == 3:
            four >>= 2
        single |= (four & 0x01010101) << step
    if code_bits == 5:
        simd.store_i32(lane + 256, single)
    elif code_bits == 3:
        simd.store_i32(lane + 128, single)


@njit(inline="always", **NJIT_OPTIONS)
def _split_nibbles(block: int, codes: int) -> None:
    """Sixteen bytes: low halves are codes 0 to 15, high halves 16 to 31."""
    for n in range(4):
        packed = load_word(block + 4 * n)
        simd.store_i32(codes + 4 * n, packed & 0x0F0F0F0F)
        simd.store_i32(codes + 16 + 4 * n, packed >> 4 & 0x0F0F0F0F)


@njit(inline="always", **NJIT_OPTIONS)
def _split_iq4_xs(block: int, record: int, codes: int, row: int) -> None:
    """Scales count from 32; their four low bits lie two to a byte, their two high bits four."""
    put_half(record + 2 * row, load_half(block))
    for group in range(8):
        low = load_byte(block + 4 + group // 2) >> 4 * (group % 2) & 15
        high = load_byte(block + 2 + group // 4) >> 2 * (group % 4) & 3
        simd.store_i8(record + 32 + 16 * group + row, (low | high << 4) - 32)
        _split_nibbles(block + 8 + 16 * group, codes + 32 * group)


@njit(inline="always", **NJIT_OPTIONS)
def _add_fifth_bits(block: int, codes: int) -> None:
    """Thirty-two bits, one a code: it counts 16."""
    bits = load_word(block)
    for code in range(32):
        simd.store_i8(codes + code, load_byte(codes + code) | (bits >> code & 1) << 4)


@njit(inline="always", **NJIT_OPTIONS)
def _split_legacy(
    bits: int, has_minima: bool, block: int, record: int, codes: int, row: int
) -> None:
    """Q4_0 to Q8_0. Their minima are added; ours are taken away, so the sign turns."""
    put_half(record + 2 * row, load_half(block))
    at = block + 2
    if has_minima:
        put_half(record + 32 + 2 * row, load_half(at) ^ 0x8000)
        at += 2
    if bits == 8:
        for n in range(8):
            # Flipping the top bit of a signed byte adds 128 to it.
            simd.store_i32(codes + 4 * n, load_word(at + 4 * n) ^ 0x80808080)
    elif bits == 5:
        _split_nibbles(at + 4, codes)
        _add_fifth_bits(at, codes)
    else:
        _split_nibbles(at, codes)


@njit(**NJIT_OPTIONS)
def _pack(
    encoding: int, bits: int, has_minima: bool, span: int, record_bytes: int, codes_at: int,
    chunk_bytes: int, block_bytes: int, source: int, rows: int, records: int, packed: int,
    scratch: int, first: int, last: int,
) -> None:  # fmt: skip
    """Pack panels first to last. ``encoding``: a number of _SPLITS, 0 for the rest."""
    for panel in range(first, last):
        for r in range(records):
            record = packed + (panel * records + r) * record_bytes
            for row in range(16):
                # A panel that is not full repeats the last row; nobody reads what comes of it.
                number = min(panel * 16 + row, rows - 1)
                block = source + (number * records + r) * block_bytes
                if encoding == 4:
                    split_q4_k(block, record, scratch, row)
                elif encoding == 5:
                    split_q5_k(block, record, scratch, row)
                elif encoding == 6:
                    split_q6_k(block, record, scratch, row)
                elif encoding == 2:
                    split_q2_k(block, record, scratch, row)
                elif encoding == 3:
                    split_q3_k(block, record, scratch, row)
                elif encoding == 40:
                    _split_iq4_xs(block, record, scratch, row)
                else:
                    _split_legacy(bits, has_minima, block, record, scratch, row)
                for chunk in range(span // 32):
                    _put_codes(
                        bits, scratch + 32 * chunk, record + codes_at + chunk * chunk_bytes, row
                    )


_SPLITS = {"Q2_K": 2, "Q3_K": 3, "Q4_K": 4, "Q5_K": 5, "Q6_K": 6, "IQ4_XS": 40}


def layout_for(encoding: Encoding) -> Layout:
    """The layout that a quantised encoding is packed in."""
    return BY_ENCODING.get(encoding.name, WIDE)


def pack_panels(
    encoding: Encoding, raw: Bytes, columns: int, packed: Bytes, first: int, last: int
) -> None:
    """Pack panels ``first`` to ``last`` of a matrix into ``packed``: zeroed memory for all of them.

    ``raw``: uint8 (rows, row_bytes), rows contiguous. Threads may work on different panels at once.
    """
    layout = layout_for(encoding)
    if layout is WIDE:
        for panel in range(first, last):
            _pack_wide(encoding, raw, columns, packed, panel)
        return
    if layout.grid:
        _pack_grid(encoding, layout, raw, columns, packed, first, last)
        return
    if not _pack.signatures:
        compile_cached(_pack, *[types.int64] * 2, types.boolean, *[types.int64] * 12)
    scratch = allocate_small(256)
    _pack(
        _SPLITS.get(encoding.name, 0), layout.code_bits, layout.has_minima, layout.span,
        layout.record_bytes, layout.codes_at, layout.chunk_bytes, encoding.block_bytes,
        raw.ctypes.data, raw.shape[0], columns // layout.span, packed.ctypes.data,
        scratch.ctypes.data, first, last,
    )  # fmt: skip


def _pack_grid(
    encoding: Encoding, layout: Layout, raw: Bytes, columns: int, packed: Bytes, first: int,
    last: int,
) -> None:  # fmt: skip
    if not pack_grids.signatures:
        compile_cached(pack_grids, *[types.int64] * 14)
    grid = GRIDS[layout.grid]
    pack_grids(
        KINDS[encoding.name], grid.columns, grid.high_bits, layout.groups // 2,
        layout.record_bytes, layout.codes_at, layout.chunk_bytes, encoding.block_bytes,
        raw.ctypes.data, raw.shape[0], columns // layout.span, packed.ctypes.data, first, last,
    )  # fmt: skip


def _pack_wide(encoding: Encoding, raw: Bytes, columns: int, packed: Bytes, panel: int) -> None:
    """One panel of any quantised encoding: codes as bytes, float32 scales and minima per 16
    columns.
    """
    records = columns // WIDE.span
    rows = np.minimum(np.arange(panel * PANEL_ROWS, (panel + 1) * PANEL_ROWS), raw.shape[0] - 1)
    blocks = encoding.unpack(raw[rows].reshape(-1, encoding.block_bytes))
    groups = columns // WIDE.group
    repeat = blocks.group // WIDE.group
    scales = np.repeat(blocks.scale, repeat, axis=1).reshape(PANEL_ROWS, groups)
    out = packed[panel * records * WIDE.record_bytes :][: records * WIDE.record_bytes]
    out = out.reshape(records, WIDE.record_bytes)
    header = out[:, : WIDE.codes_at].view(np.float32).reshape(records, 2, WIDE.groups, PANEL_ROWS)
    header[:, 0] = scales.reshape(PANEL_ROWS, records, WIDE.groups).transpose(1, 2, 0)
    if blocks.minimum is not None:
        minima = np.repeat(blocks.minimum, repeat, axis=1).reshape(PANEL_ROWS, records, WIDE.groups)
        header[:, 1] = minima.transpose(1, 2, 0)
    codes = (blocks.codes.astype(np.int16) + WIDE.offset).astype(np.uint8)
    steps = codes.reshape(PANEL_ROWS, records, 8, 4).transpose(1, 2, 0, 3)
    out[:, WIDE.codes_at :] = steps.reshape(records, -1)
