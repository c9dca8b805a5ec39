"""Blocks of accumulators that stay in registers, and byte dot products on them.

A block is a tuple of ``rows * panels`` V16 values: entry ``row * panels + panel`` belongs to one activation
row and one panel of sixteen output rows. The counts are literals, so that each operation unrolls as it is
emitted and LLVM keeps the tuple in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels.isa import Isa
from stillhouse.kernels.simd import V16, declare, load_as, splat

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_INTS = ir.VectorType(_I32, 16)
_FLOATS = ir.VectorType(ir.FloatType(), 16)
_BYTES = ir.VectorType(_I8, 64)


def _masked(builder: Any, value: Any, mask: int) -> Any:
    return builder.and_(value, ir.Constant(_INTS, [mask] * 16))


def _shifted(builder: Any, value: Any, left: int) -> Any:
    """Shift each lane left, or right where ``left`` is negative."""
    by = ir.Constant(_INTS, [abs(left)] * 16)
    return builder.shl(value, by) if left > 0 else builder.lshr(value, by) if left < 0 else value


def _at(builder: Any, address: Any, offset: int) -> Any:
    return builder.add(address, ir.Constant(_I64, offset)) if offset else address


# ---- unsigned bytes times signed bytes, four to a lane -------------------------------------------------


def _dot4_vnni(builder: Any, total: Any, codes: Any, x: Any) -> Any:
    function = declare(builder, "llvm.x86.avx512.vpdpbusd.512", _INTS, [_INTS, _BYTES, _BYTES])
    return builder.call(
        function, [total, builder.bitcast(codes, _BYTES), builder.bitcast(x, _BYTES)]
    )


def _dot4_avx2(builder: Any, total: Any, codes: Any, x: Any, code_bits: int) -> Any:
    """vpmaddubsw adds two products in 16 bits, so codes of 8 bits go in two parts: 2 * 127 * 127 < 2^15."""
    if code_bits == 8:
        total = _dot4_avx2(builder, total, _masked(builder, codes, 0x7F7F7F7F), x, 7)
        top = _masked(builder, _shifted(builder, codes, -7), 0x01010101)
        tops = _dot4_avx2(builder, ir.Constant(_INTS, None), top, x, 1)
        return builder.add(total, _shifted(builder, tops, 7))
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
    """Even and odd bytes as 16-bit words, multiplied and added in pairs: LLVM knows this as pmaddwd or smlal."""
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


def _dot4(builder: Any, isa: int, code_bits: int, total: Any, codes: Any, x: Any) -> Any:
    if isa >= Isa.AVX512_VNNI:
        return _dot4_vnni(builder, total, codes, x)
    if isa >= Isa.AVX2:
        return _dot4_avx2(builder, total, codes, x, code_bits)
    return _dot4_portable(builder, total, codes, x)


# ---- codes of 4, 5, 6 and 8 bits ------------------------------------------------------------------------


def _codes(builder: Any, code_bits: int, chunk: Any, step: int) -> Any:
    """The codes 4 * step to 4 * step + 3 of a chunk of 32: a V16 of bytes, one lane a row (see layouts.py)."""
    if code_bits == 8:
        return load_as(builder, _at(builder, chunk, 64 * step), _INTS)
    low = load_as(builder, _at(builder, chunk, 64 * (step // 2)), _INTS)
    codes = _masked(builder, _shifted(builder, low, -4 * (step % 2)), 0x0F0F0F0F)
    if code_bits == 5:
        high = load_as(builder, _at(builder, chunk, 256), _INTS)
        codes = builder.or_(codes, _masked(builder, _shifted(builder, high, 4 - step), 0x10101010))
    if code_bits == 6:
        high = load_as(builder, _at(builder, chunk, 256 + 64 * (step // 4)), _INTS)
        high = _shifted(builder, high, 4 - 2 * (step % 4))
        codes = builder.or_(codes, _masked(builder, high, 0x30303030))
    return codes


@intrinsic(prefer_literal=True)
def dot_chunk(
    typing: Any, isa: Any, code_bits: Any, first: Any, count: Any, total: Any, chunk: Any, x: Any
) -> Any:
    """total + codes · x for ``count`` steps of four codes, from step ``first`` of a packed chunk; x: int8."""
    literals = [argument.literal_value for argument in (isa, code_bits, first, count)]

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        level, bits, start, steps = literals
        *_, result, chunk_address, x_address = values
        for step in range(start, start + steps):
            x4 = splat(builder, load_as(builder, _at(builder, x_address, 4 * step), _I32), _INTS)
            result = _dot4(
                builder, level, bits, result, _codes(builder, bits, chunk_address, step), x4
            )
        return result

    return V16(isa, code_bits, first, count, V16, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def unpack_chunk(typing: Any, code_bits: Any, chunk: Any, out: Any) -> Any:
    """Write a packed chunk's 32 codes a row as bytes: 8 vectors, dword lane = row, byte = code."""
    bits = code_bits.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, chunk_address, out_address = values
        for step in range(8):
            target = builder.inttoptr(_at(builder, out_address, 64 * step), _INTS.as_pointer())
            builder.store(_codes(builder, bits, chunk_address, step), target, align=1)
        return context.get_dummy_value()

    return types.void(code_bits, types.int64, types.int64), codegen


# ---- blocks ---------------------------------------------------------------------------------------------


def _block_type(rows: Any, panels: Any) -> Any:
    return types.UniTuple(V16, rows.literal_value * panels.literal_value)


def _entries(builder: Any, block: Any, count: int) -> list[Any]:
    return [builder.extract_value(block, index) for index in range(count)]


def _as_block(builder: Any, entries: list[Any]) -> Any:
    block = ir.Constant(ir.ArrayType(_INTS, len(entries)), ir.Undefined)
    for index, entry in enumerate(entries):
        block = builder.insert_value(block, builder.bitcast(entry, _INTS), index)
    return block


@intrinsic(prefer_literal=True)
def block_of(typing: Any, rows: Any, panels: Any, value: Any) -> Any:
    """A block whose entries all are ``value``."""
    count = rows.literal_value * panels.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return _as_block(builder, [values[2]] * count)

    return _block_type(rows, panels)(rows, panels, V16), codegen


@intrinsic(prefer_literal=True)
def block_minus_sums(
    typing: Any, rows: Any, panels: Any, shift: Any, sums: Any, row_stride: Any
) -> Any:
    """Entries start at -(sum << shift), one int32 sum a row: what an offset of 2^shift in the codes adds."""
    m, p, by = rows.literal_value, panels.literal_value, shift.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, address, stride = values
        entries = []
        for row in range(m):
            at = builder.add(address, builder.mul(stride, ir.Constant(_I64, row)))
            total = _shifted(builder, splat(builder, load_as(builder, at, _I32), _INTS), by)
            entries += [builder.sub(ir.Constant(_INTS, None), total)] * p
        return _as_block(builder, entries)

    arguments = (rows, panels, shift, types.int64, types.int64)
    return _block_type(rows, panels)(*arguments), codegen


@intrinsic(prefer_literal=True)
def block_dot(
    typing: Any,
    isa: Any,
    rows: Any,
    panels: Any,
    steps: Any,
    block: Any,
    codes: Any,
    panel_stride: Any,
    x: Any,
    row_stride: Any,
) -> Any:
    """block + codes · x over ``steps`` steps of four: unpacked codes (see unpack_chunk) and int8 rows x."""
    level, m, p = isa.literal_value, rows.literal_value, panels.literal_value
    count = steps.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, entries, code_address, code_stride, x_address, x_stride = values
        totals = _entries(builder, entries, m * p)
        for step in range(count):
            weights = [
                load_as(
                    builder,
                    _at(
                        builder,
                        builder.add(
                            code_address, builder.mul(code_stride, ir.Constant(_I64, panel))
                        ),
                        64 * step,
                    ),
                    _INTS,
                )
                for panel in range(p)
            ]
            for row in range(m):
                at = builder.add(x_address, builder.mul(x_stride, ir.Constant(_I64, row)))
                x4 = splat(builder, load_as(builder, _at(builder, at, 4 * step), _I32), _INTS)
                for panel in range(p):
                    index = row * p + panel
                    totals[index] = _dot4(builder, level, 8, totals[index], weights[panel], x4)
        return _as_block(builder, totals)

    arguments = (isa, rows, panels, steps, _block_type(rows, panels), *[types.int64] * 4)
    return _block_type(rows, panels)(*arguments), codegen


@intrinsic(prefer_literal=True)
def block_add_scaled(
    typing: Any, rows: Any, panels: Any, block: Any, sums: Any, scales: Any, panel_stride: Any
) -> Any:
    """block + float(sums) * scales, with one V16 of scales a panel."""
    m, p = rows.literal_value, panels.literal_value
    kind = _block_type(rows, panels)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, floats, ints, address, stride = values
        fused = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
        scale = [
            load_as(
                builder, builder.add(address, builder.mul(stride, ir.Constant(_I64, n))), _FLOATS
            )
            for n in range(p)
        ]
        result = []
        for index in range(m * p):
            total = builder.sitofp(builder.extract_value(ints, index), _FLOATS)
            into = builder.bitcast(builder.extract_value(floats, index), _FLOATS)
            result.append(builder.call(fused, [total, scale[index % p], into]))
        return _as_block(builder, result)

    return kind(rows, panels, kind, kind, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_get(typing: Any, index: Any, block: Any) -> Any:
    """One entry of a block."""
    number = index.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.extract_value(values[1], number)

    return V16(index, block), codegen


@intrinsic(prefer_literal=True)
def block_add_record(
    typing: Any,
    isa: Any,
    rows: Any,
    panels: Any,
    has_minima: Any,
    y: Any,
    inner: Any,
    header: Any,
    panel_stride: Any,
    split_sums: Any,
    sums_stride: Any,
    x_scales: Any,
    scales_stride: Any,
) -> Any:
    """y + x_scale * (d * inner - dmin * minima · sums): the end of an unpacked superblock record.

    At ``header``: float32 d[16], dmin[16], and 128 bytes of minima right behind them; strides in bytes.
    """
    level, m, p = isa.literal_value, rows.literal_value, panels.literal_value
    minima_present = has_minima.literal_value
    kind = _block_type(rows, panels)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, _, _, totals, inners, at, stride, sums, row_stride, scales, scale_stride = values
        fused = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
        nothing = ir.Constant(_INTS, None)
        result: list[Any] = [None] * (m * p)
        for panel in range(p):
            base = builder.add(at, builder.mul(stride, ir.Constant(_I64, panel)))
            d, dmin = (load_as(builder, _at(builder, base, n), _FLOATS) for n in (0, 64))
            minima = [load_as(builder, _at(builder, base, 128 + n), _INTS) for n in (0, 64)]
            for row in range(m):
                index = row * p + panel
                value = builder.bitcast(builder.extract_value(inners, index), _FLOATS)
                value = builder.fmul(value, d)
                if minima_present:
                    row_sums = builder.add(sums, builder.mul(row_stride, ir.Constant(_I64, row)))
                    parts = []
                    for part in (0, 4):
                        total = nothing
                        for half in (0, 1):
                            x4 = load_as(builder, _at(builder, row_sums, 8 * half + part), _I32)
                            x4 = splat(builder, x4, _INTS)
                            total = _dot4(builder, level, 8, total, minima[half], x4)
                        parts.append(total)
                    whole = builder.add(_shifted(builder, parts[0], 6), parts[1])
                    lowest = builder.fmul(dmin, builder.sitofp(whole, _FLOATS))
                    value = builder.fsub(value, lowest)
                scale_at = builder.add(scales, builder.mul(scale_stride, ir.Constant(_I64, row)))
                scale = splat(builder, load_as(builder, scale_at, ir.FloatType()), _FLOATS)
                into = builder.bitcast(builder.extract_value(totals, index), _FLOATS)
                result[index] = builder.call(fused, [value, scale, into])
        return _as_block(builder, result)

    arguments = (isa, rows, panels, has_minima, kind, kind, *[types.int64] * 6)
    return kind(*arguments), codegen


@intrinsic(prefer_literal=True)
def block_store(
    typing: Any,
    rows: Any,
    panels: Any,
    block: Any,
    out: Any,
    row_stride: Any,
    panel_count: Any,
    accumulate: Any,
) -> Any:
    """Store a block's first ``panel_count`` panels, or add it to what is there; panels lie 64 bytes apart."""
    m, p = rows.literal_value, panels.literal_value
    kind = _block_type(rows, panels)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, entries, address, stride, count, add = values
        adds = builder.icmp_signed("!=", add, ir.Constant(_I64, 0))
        for panel in range(p):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(_I64, panel), count)):
                for row in range(m):
                    at = builder.add(address, builder.mul(stride, ir.Constant(_I64, row)))
                    target = builder.inttoptr(_at(builder, at, 64 * panel), _FLOATS.as_pointer())
                    before = builder.load(target)
                    before.align = 1
                    value = builder.bitcast(
                        builder.extract_value(entries, row * p + panel), _FLOATS
                    )
                    sum_ = builder.fadd(before, value)
                    builder.store(builder.select(adds, sum_, value), target, align=1)
        return context.get_dummy_value()

    return types.void(rows, panels, kind, *[types.int64] * 4), codegen


@intrinsic(prefer_literal=True)
def block_add_group(
    typing: Any,
    rows: Any,
    panels: Any,
    has_minima: Any,
    y: Any,
    dots: Any,
    header: Any,
    panel_stride: Any,
    x_scales: Any,
    scales_stride: Any,
    sums: Any,
    sums_stride: Any,
) -> Any:
    """y + (scale * x_scale) * dot - minimum * (x_scale * sum): the end of an unpacked group.

    At ``header``: float32 scales[16], then minima[16] where there are any; strides in bytes.
    """
    m, p, minima_present = rows.literal_value, panels.literal_value, has_minima.literal_value
    kind = _block_type(rows, panels)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, _, totals, ints, at, stride, scales, scale_stride, sum_at, sum_stride = values
        fused = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
        result: list[Any] = [None] * (m * p)
        bases = [
            builder.add(at, builder.mul(stride, ir.Constant(_I64, panel))) for panel in range(p)
        ]
        for row in range(m):
            number = ir.Constant(_I64, row)
            scale_at = builder.add(scales, builder.mul(scale_stride, number))
            x_scale = splat(builder, load_as(builder, scale_at, ir.FloatType()), _FLOATS)
            if minima_present:
                x_sum_at = builder.add(sum_at, builder.mul(sum_stride, number))
                x_sum = splat(builder, load_as(builder, x_sum_at, _I32), _INTS)
                scaled_sum = builder.fmul(x_scale, builder.sitofp(x_sum, _FLOATS))
            for panel in range(p):
                index = row * p + panel
                scale = builder.fmul(load_as(builder, bases[panel], _FLOATS), x_scale)
                dot = builder.sitofp(builder.extract_value(ints, index), _FLOATS)
                into = builder.bitcast(builder.extract_value(totals, index), _FLOATS)
                value = builder.call(fused, [dot, scale, into])
                if minima_present:
                    minimum = load_as(builder, _at(builder, bases[panel], 64), _FLOATS)
                    value = builder.fsub(value, builder.fmul(minimum, scaled_sum))
                result[index] = value
        return _as_block(builder, result)

    arguments = (rows, panels, has_minima, kind, kind, *[types.int64] * 6)
    return kind(*arguments), codegen


@intrinsic(prefer_literal=True)
def block_fma(typing: Any, rows: Any, block: Any, values: Any, x: Any, row_stride: Any) -> Any:
    """block + values * x, with one float32 x a row, ``row_stride`` bytes apart."""
    m = rows.literal_value
    kind = types.UniTuple(V16, m)

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, entries, vector, address, stride = arguments
        fused = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
        vector = builder.bitcast(vector, _FLOATS)
        result = []
        for row in range(m):
            at = builder.add(address, builder.mul(stride, ir.Constant(_I64, row)))
            scalar = splat(builder, load_as(builder, at, ir.FloatType()), _FLOATS)
            into = builder.bitcast(builder.extract_value(entries, row), _FLOATS)
            result.append(builder.call(fused, [vector, scalar, into]))
        return _as_block(builder, result)

    return kind(rows, kind, V16, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_load(typing: Any, rows: Any, address: Any, row_stride: Any) -> Any:
    """One vector a row, ``row_stride`` bytes apart."""
    m = rows.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, start, stride = arguments
        return _as_block(
            builder,
            [
                load_as(
                    builder, builder.add(start, builder.mul(stride, ir.Constant(_I64, row))), _INTS
                )
                for row in range(m)
            ],
        )

    return types.UniTuple(V16, m)(rows, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_scale(typing: Any, rows: Any, block: Any, factors: Any) -> Any:
    """block * factors: one float32 a row, side by side."""
    m = rows.literal_value
    kind = types.UniTuple(V16, m)

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, entries, address = arguments
        result = []
        for row in range(m):
            factor = load_as(builder, _at(builder, address, 4 * row), ir.FloatType())
            value = builder.bitcast(builder.extract_value(entries, row), _FLOATS)
            result.append(builder.fmul(value, splat(builder, factor, _FLOATS)))
        return _as_block(builder, result)

    return kind(rows, kind, types.int64), codegen
