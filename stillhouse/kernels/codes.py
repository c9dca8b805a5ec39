"""Products of weight codes and int8 activations, four neighbours to a lane, and codes of 4 to 8
bits.

``dot4`` is the one operation that differs between instruction sets. What stands in a chunk of 32
packed columns is described in layouts.py.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels.isa import Isa
from stillhouse.kernels.simd import declare, load_as

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


# ---- codes of 4, 5, 6 and 8 bits ----


def codes_of(builder: Any, code_bits: int, chunk: Any, step: int) -> Any:
    """The codes 4 * step to 4 * step + 3 of a chunk of 32: a V16 of bytes, one lane a row (see
    layouts.py).
    """
    if code_bits == 8:
        return load_as(builder, offset_by(builder, chunk, 64 * step), _INTS)
    low = load_as(builder, offset_by(builder, chunk, 64 * (step // 2)), _INTS)
    codes = masked(builder, shifted(builder, low, -4 * (step % 2)), 0x0F0F0F0F)
    if code_bits == 5:
        high = load_as(builder, offset_by(builder, chunk, 256), _INTS)
        codes = builder.or_(codes, masked(builder, shifted(builder, high, 4 - step), 0x10101010))
    if code_bits == 6:
        high = load_as(builder, offset_by(builder, chunk, 256 + 64 * (step // 4)), _INTS)
        high = shifted(builder, high, 4 - 2 * (step % 4))
        codes = builder.or_(codes, masked(builder, high, 0x30303030))
    return codes


@intrinsic(prefer_literal=True)
def unpack_chunk(typing: Any, code_bits: Any, chunk: Any, out: Any) -> Any:
    """Write a packed chunk's 32 codes a row as bytes: 8 vectors, dword lane = row, byte = code."""
    bits = code_bits.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, chunk_address, out_address = values
        for step in range(8):
            target = builder.inttoptr(
                offset_by(builder, out_address, 64 * step), _INTS.as_pointer()
            )
            builder.store(codes_of(builder, bits, chunk_address, step), target, align=1)
        return context.get_dummy_value()

    return types.void(code_bits, types.int64, types.int64), codegen
