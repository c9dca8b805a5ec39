"""From a file's blocks to panels (see layouts.py): what happens to a weight once, when a model is
loaded.

Each encoding with a layout of its own has a short kernel that takes a block apart; codes move four
at a time, as 32-bit words, for a row's four neighbouring codes stay together in a lane. Everything
else comes through its numpy decoder as codes, scales and minima, and is packed as WIDE.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from stillhouse.encodings import Encoding
from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS, compile_cached
from stillhouse.kernels.layouts import BY_ENCODING, PANEL_ROWS, WIDE, Layout
from stillhouse.kernels.memory import allocate_small

Bytes = npt.NDArray[np.uint8]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def _word(typing: Any, address: Any) -> Any:
    """An unsigned 32-bit word at any address."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], _I32), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def _half(typing: Any, address: Any) -> Any:
    """Sixteen bits at any address."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], ir.IntType(16)), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def _put_half(typing: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        simd.store_as(builder, values[0], builder.trunc(values[1], ir.IntType(16)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _byte(typing: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], ir.IntType(8)), _I64)

    return types.int64(types.int64), codegen


@njit(inline="always", **NJIT_OPTIONS)
def _put_codes(code_bits: int, codes: int, chunk: int, row: int) -> None:
    """Write one row's 32 codes (bytes at ``codes``) into a chunk."""
    lane = chunk + 4 * row
    if code_bits == 8:
        for step in range(8):
            simd.store_i32(lane + 64 * step, _word(codes + 4 * step))
    else:
        fifth, pairs_low, pairs_high = 0, 0, 0
        for step in range(8):
            word = _word(codes + 4 * step)
            if step % 2 == 0:
                nibbles = word & 0x0F0F0F0F
            else:
                nibbles |= (word & 0x0F0F0F0F) << 4
                simd.store_i32(lane + 64 * (step // 2), nibbles)
            fifth |= (word >> 4 & 0x01010101) << step
            pair = (word >> 4 & 0x03030303) << 2 * (step % 4)
            if step < 4:
                pairs_low |= pair
            else:
                pairs_high |= pair
        if code_bits == 5:
            simd.store_i32(lane + 256, fifth)
        elif code_bits == 6:
            simd.store_i32(lane + 256, pairs_low)
            simd.store_i32(lane + 320, pairs_high)


@njit(inline="always", **NJIT_OPTIONS)
def _put_k_scales(block: int, record: int, row: int) -> None:
    """Q4_K and Q5_K: d, dmin, and eight 6-bit scales and minima in twelve bytes."""
    _put_half(record + 2 * row, _half(block))
    _put_half(record + 32 + 2 * row, _half(block + 2))
    for group in range(8):
        if group < 4:
            scale, minimum = _byte(block + 4 + group) & 63, _byte(block + 8 + group) & 63
        else:
            low = _byte(block + 8 + group)
            scale = (low & 15) | _byte(block + group) >> 6 << 4
            minimum = low >> 4 | _byte(block + 4 + group) >> 6 << 4
        simd.store_i8(record + 64 + 16 * group + row, scale)
        simd.store_i8(record + 192 + 64 * (group // 4) + 4 * row + group % 4, minimum)


@njit(inline="always", **NJIT_OPTIONS)
def _split_q4_k(block: int, record: int, codes: int, row: int) -> None:
    _put_k_scales(block, record, row)
    for pair in range(4):
        for word in range(8):
            packed = _word(block + 16 + 32 * pair + 4 * word)
            simd.store_i32(codes + 64 * pair + 4 * word, packed & 0x0F0F0F0F)
            simd.store_i32(codes + 64 * pair + 32 + 4 * word, packed >> 4 & 0x0F0F0F0F)


@njit(inline="always", **NJIT_OPTIONS)
def _split_q5_k(block: int, record: int, codes: int, row: int) -> None:
    _put_k_scales(block, record, row)
    for pair in range(4):
        for word in range(8):
            packed = _word(block + 48 + 32 * pair + 4 * word)
            high = _word(block + 16 + 4 * word) >> 2 * pair
            low_codes = packed & 0x0F0F0F0F | (high & 0x01010101) << 4
            high_codes = packed >> 4 & 0x0F0F0F0F | (high >> 1 & 0x01010101) << 4
            simd.store_i32(codes + 64 * pair + 4 * word, low_codes)
            simd.store_i32(codes + 64 * pair + 32 + 4 * word, high_codes)


@njit(inline="always", **NJIT_OPTIONS)
def _split_q6_k(block: int, record: int, codes: int, row: int) -> None:
    _put_half(record + 2 * row, _half(block + 208))
    for group in range(16):
        simd.store_i8(record + 64 + 16 * group + row, _byte(block + 192 + group))
    for half in range(2):
        for word in range(8):
            low = _word(block + 64 * half + 4 * word)
            next_low = _word(block + 64 * half + 32 + 4 * word)
            high = _word(block + 128 + 32 * half + 4 * word)
            at = codes + 128 * half + 4 * word
            simd.store_i32(at, low & 0x0F0F0F0F | (high & 0x03030303) << 4)
            simd.store_i32(at + 32, next_low & 0x0F0F0F0F | (high >> 2 & 0x03030303) << 4)
            simd.store_i32(at + 64, low >> 4 & 0x0F0F0F0F | (high >> 4 & 0x03030303) << 4)
            simd.store_i32(at + 96, next_low >> 4 & 0x0F0F0F0F | (high >> 6 & 0x03030303) << 4)


@njit(inline="always", **NJIT_OPTIONS)
def _split_nibbles(block: int, codes: int) -> None:
    """Sixteen bytes: low halves are codes 0 to 15, high halves 16 to 31."""
    for word in range(4):
        packed = _word(block + 4 * word)
        simd.store_i32(codes + 4 * word, packed & 0x0F0F0F0F)
        simd.store_i32(codes + 16 + 4 * word, packed >> 4 & 0x0F0F0F0F)


@njit(inline="always", **NJIT_OPTIONS)
def _add_fifth_bits(block: int, codes: int) -> None:
    """Thirty-two bits, one a code: it counts 16."""
    bits = _word(block)
    for code in range(32):
        simd.store_i8(codes + code, _byte(codes + code) | (bits >> code & 1) << 4)


@njit(inline="always", **NJIT_OPTIONS)
def _split_legacy(
    bits: int, has_minima: bool, block: int, record: int, codes: int, row: int
) -> None:
    """Q4_0 to Q8_0. Their minima are added; ours are taken away, so the sign turns."""
    _put_half(record + 2 * row, _half(block))
    at = block + 2
    if has_minima:
        _put_half(record + 32 + 2 * row, _half(at) ^ 0x8000)
        at += 2
    if bits == 8:
        for word in range(8):
            # Flipping the top bit of a signed byte adds 128 to it.
            simd.store_i32(codes + 4 * word, _word(at + 4 * word) ^ 0x80808080)
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
    """Pack panels first to last. ``encoding``: 4, 5, 6 for the K-quants, 0 for the rest."""
    for panel in range(first, last):
        for r in range(records):
            record = packed + (panel * records + r) * record_bytes
            for row in range(16):
                # A panel that is not full repeats the last row; nobody reads what comes of it.
                number = min(panel * 16 + row, rows - 1)
                block = source + (number * records + r) * block_bytes
                if encoding == 4:
                    _split_q4_k(block, record, scratch, row)
                elif encoding == 5:
                    _split_q5_k(block, record, scratch, row)
                elif encoding == 6:
                    _split_q6_k(block, record, scratch, row)
                else:
                    _split_legacy(bits, has_minima, block, record, scratch, row)
                for chunk in range(span // 32):
                    _put_codes(
                        bits, scratch + 32 * chunk, record + codes_at + chunk * chunk_bytes, row
                    )


_K_QUANTS = {"Q4_K": 4, "Q5_K": 5, "Q6_K": 6}


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
    if not _pack.signatures:
        compile_cached(_pack, *[types.int64] * 2, types.boolean, *[types.int64] * 12)
    scratch = allocate_small(256)
    _pack(
        _K_QUANTS.get(encoding.name, 0), layout.code_bits, layout.has_minima, layout.span,
        layout.record_bytes, layout.codes_at, layout.chunk_bytes, encoding.block_bytes,
        raw.ctypes.data, raw.shape[0], columns // layout.span, packed.ctypes.data,
        scratch.ctypes.data, first, last,
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
