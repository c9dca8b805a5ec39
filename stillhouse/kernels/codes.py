"""Products of weight codes and int8 activations, four neighbours to a lane, and how codes come out
of chunks of 32 packed columns (see layouts.py).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.encodings.i_quants import IQ4_VALUES
from stillhouse.kernels.grid_codes import (
    dot_permuted,
    loaded_codes,
    num_permutation_tables,
    permutation_tables,
    permuted_steps,
)
from stillhouse.kernels.grids import of_form
from stillhouse.kernels.isa import Isa, permutes_bytes
from stillhouse.kernels.layouts import NONLINEAR
from stillhouse.kernels.lookup import look_up_16
from stillhouse.kernels.simd import declare, load_as, splat, store_as

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_INTS = ir.VectorType(_I32, 16)
_BYTES = ir.VectorType(_I8, 64)


def masked(builder: Any, value: Any, mask: int) -> Any:
    return builder.and_(value, ir.Constant(_INTS, [mask] * 16))


def shifted(builder: Any, value: Any, left: int) -> Any:
    """Shift each lane left, or right where ``left`` is negative."""
    by = ir.Constant(_INTS, [abs(left)] * 16)
    return builder.shl(value, by) if left > 0 else builder.lshr(value, by) if left < 0 else value


def offset_by(builder: Any, address: Any, offset: int) -> Any:
    return builder.add(address, ir.Constant(_I64, offset)) if offset else address


def _dot4_vnni(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    function = declare(builder, "llvm.x86.avx512.vpdpbusd.512", _INTS, [_INTS, _BYTES, _BYTES])
    return builder.call(
        function, [total, builder.bitcast(codes, _BYTES), builder.bitcast(x, _BYTES)]
    )


def _dot4_avx2(builder: Any, total: Any, codes: Any, x: Any, code_bits: int) -> Any:
    """vpmaddubsw adds two products in 16 bits, so codes of 8 bits go in two parts: 2 * 127 * 127 <
    2^15.
    """
    if code_bits == 8:
        total = _dot4_avx2(builder, total, masked(builder, codes, 0x7F7F7F7F), x, 7)
        top = masked(builder, shifted(builder, codes, -7), 0x01010101)
        tops = _dot4_avx2(builder, ir.Constant(_INTS, None), top, x, 1)
        return builder.add(total, shifted(builder, tops, 7))
    half_bytes, half_words = ir.VectorType(_I8, 32), ir.VectorType(_I16, 16)
    half_ints = ir.VectorType(_I32, 8)
    pairs = declare(builder, "llvm.x86.avx2.pmadd.ub.sw", half_words, [half_bytes, half_bytes])
    quads = declare(builder, "llvm.x86.avx2.pmadd.wd", half_ints, [half_words, half_words])
    ones = ir.Constant(half_words, [1] * 16)
    parts = []
    for half in (0, 8):
        lanes = ir.Constant(ir.VectorType(_I32, 8), list(range(half, half + 8)))
        u, s = (
            builder.bitcast(builder.shuffle_vector(v, v, lanes), half_bytes) for v in (codes, x)
        )
        parts.append(builder.call(quads, [builder.call(pairs, [u, s]), ones]))
    whole = ir.Constant(ir.VectorType(_I32, 16), list(range(16)))
    return builder.add(total, builder.shuffle_vector(parts[0], parts[1], whole))


def _dot4_portable(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    """Even and odd bytes as 16-bit words, multiplied and added in pairs: LLVM knows this as pmaddwd
    or smlal.
    """
    words, wide = ir.VectorType(_I16, 32), ir.VectorType(_I32, 32)
    eight = ir.Constant(words, [8] * 32)
    u, s = builder.bitcast(codes, words), builder.bitcast(x, words)
    low = ir.Constant(_INTS, list(range(0, 32, 2)))
    high = ir.Constant(_INTS, list(range(1, 32, 2)))
    for odd in (False, True):
        first = builder.lshr(u, eight) if odd else builder.and_(u, ir.Constant(words, [255] * 32))
        second = builder.ashr(s if odd else builder.shl(s, eight), eight)
        product = builder.mul(builder.sext(first, wide), builder.sext(second, wide))
        even_lanes = builder.shuffle_vector(product, product, low)
        odd_lanes = builder.shuffle_vector(product, product, high)
        total = builder.add(total, builder.add(even_lanes, odd_lanes))
    return total


def dot4(builder: Any, isa: int, code_bits: int, total: Any, codes: Any, x: Any) -> Any:
    if isa >= Isa.AVX512_VNNI:
        return _dot4_vnni(builder, total, codes, x)
    if isa >= Isa.AVX2:
        return _dot4_avx2(builder, total, codes, x, code_bits)
    return _dot4_portable(builder, total, codes, x)


# ---- what stands in a chunk ----


def form_tables(builder: Any, isa: int, form: int) -> list[Any]:
    """What a loop over chunks of that form should keep in registers; nothing for most forms."""
    grid = of_form(form)
    if grid is None or not permutes_bytes(isa):
        return []
    return permutation_tables(builder, grid)


def num_form_tables(isa: int, form: int) -> int:
    """How many of them there are."""
    grid = of_form(form)
    return num_permutation_tables(grid) if grid is not None and permutes_bytes(isa) else 0


def packed_codes(
    builder: Any, isa: int, form: int, tables: list[Any], chunk: Any, first: int, count: int
) -> list[Any]:
    """The codes of steps ``first`` to first + count of a packed chunk, taken out of their bits.

    A step is four columns: a V16 of bytes, one lane a row. ``form``: see Layout.code_form.
    """
    grid = of_form(form)
    if grid is not None:
        if permutes_bytes(isa):
            return permuted_steps(builder, grid, tables, chunk)[first : first + count]
        return loaded_codes(builder, grid, chunk, first, count)
    if form == NONLINEAR:
        values = [value + 128 for value in IQ4_VALUES]
        indices = [_plain_codes(builder, 4, chunk, step) for step in range(first, first + count)]
        return [builder.bitcast(look_up_16(builder, isa, values, i), _INTS) for i in indices]
    return [_plain_codes(builder, form, chunk, step) for step in range(first, first + count)]


def _plain_codes(builder: Any, bits: int, chunk: Any, step: int) -> Any:
    """Codes of 2 to 8 bits: 4 * step to 4 * step + 3 of 32."""
    if bits == 8:
        return load_as(builder, offset_by(builder, chunk, 64 * step), _INTS)
    if bits < 4:
        low = load_as(builder, offset_by(builder, chunk, 64 * (step // 4)), _INTS)
        codes = masked(builder, shifted(builder, low, -2 * (step % 4)), 0x03030303)
        if bits == 3:
            high = load_as(builder, offset_by(builder, chunk, 128), _INTS)
            high = shifted(builder, high, 2 - step)
            codes = builder.or_(codes, masked(builder, high, 0x04040404))
        return codes
    low = load_as(builder, offset_by(builder, chunk, 64 * (step // 2)), _INTS)
    codes = masked(builder, shifted(builder, low, -4 * (step % 2)), 0x0F0F0F0F)
    if bits == 5:
        high = load_as(builder, offset_by(builder, chunk, 256), _INTS)
        codes = builder.or_(codes, masked(builder, shifted(builder, high, 4 - step), 0x10101010))
    if bits == 6:
        high = load_as(builder, offset_by(builder, chunk, 256 + 64 * (step // 4)), _INTS)
        high = shifted(builder, high, 4 - 2 * (step % 4))
        codes = builder.or_(codes, masked(builder, high, 0x30303030))
    return codes


def largest_bits(form: int) -> int:
    """How many bits the largest code of a form has, once taken out."""
    if of_form(form) is not None:
        return 7
    return 8 if form == NONLINEAR else form


def dot_chunk(
    builder: Any, isa: int, form: int, tables: list[Any], totals: list[list[Any]], chunk: Any,
    rows: list[Any],
) -> list[list[Any]]:  # fmt: skip
    """totals + codes · x: for a packed chunk or each half of it, a total for each of the int8
    ``rows`` (addresses). Each code is taken out of its bits once for all of them.
    """
    grid = of_form(form)
    if grid is not None and permutes_bytes(isa) and (len(totals) == 1 or len(rows) == 1):
        products = partial(dot4, builder, isa, 7)
        return dot_permuted(builder, grid, products, tables, totals, chunk, rows)
    steps, sums = 8 // len(totals), []
    for part, half in enumerate(totals):
        sums.append(list(half))
        first = part * steps
        steps_codes = packed_codes(builder, isa, form, tables, chunk, first, steps)
        for step, codes in enumerate(steps_codes, first):
            for row, x in enumerate(rows):
                x4 = splat(builder, load_as(builder, offset_by(builder, x, 4 * step), _I32), _INTS)
                sums[part][row] = dot4(builder, isa, largest_bits(form), sums[part][row], codes, x4)
    return sums


@intrinsic(prefer_literal=True)
def unpack_chunk(typing: Any, isa: Any, form: Any, chunk: Any, out: Any) -> Any:
    """Write a packed chunk's 32 codes a row as bytes: 8 vectors, dword lane = row, byte = code."""
    level, kind = isa.literal_value, form.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, chunk_address, out_address = values
        tables = form_tables(builder, level, kind)
        codes = packed_codes(builder, level, kind, tables, chunk_address, 0, 8)
        for step, four in enumerate(codes):
            store_as(builder, offset_by(builder, out_address, 64 * step), four)
        return context.get_dummy_value()

    return types.void(isa, form, types.int64, types.int64), codegen
