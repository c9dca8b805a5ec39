"""Blocks of accumulators that stay in registers.

A block is a tuple of ``rows * panels`` V16 values: entry ``row * panels + panel`` belongs to one
activation row and one panel of sixteen output rows. The counts are literals, so that each operation
unrolls as it is emitted and LLVM keeps the tuple in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels.codes import dot4, offset_by, shifted
from stillhouse.kernels.simd import V16, declare, load_as, splat

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_INTS = ir.VectorType(_I32, 16)
_FLOATS = ir.VectorType(ir.FloatType(), 16)


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
    """Entries start at -(sum << shift), one int32 sum a row: what an offset of 2^shift in the codes
    adds.
    """
    m, p, by = rows.literal_value, panels.literal_value, shift.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, address, stride = values
        entries = []
        for row in range(m):
            at = builder.add(address, builder.mul(stride, ir.Constant(_I64, row)))
            total = shifted(builder, splat(builder, load_as(builder, at, _I32), _INTS), by)
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
    """block + codes · x over ``steps`` steps of four: unpacked codes (see unpack_chunk) and int8
    rows x.
    """
    level, m, p = isa.literal_value, rows.literal_value, panels.literal_value
    count = steps.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, entries, code_address, code_stride, x_address, x_stride = values
        totals = _entries(builder, entries, m * p)
        for step in range(count):
            weights = [
                load_as(
                    builder,
                    offset_by(
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
                x4 = splat(builder, load_as(builder, offset_by(builder, at, 4 * step), _I32), _INTS)
                for panel in range(p):
                    index = row * p + panel
                    totals[index] = dot4(builder, level, 8, totals[index], weights[panel], x4)
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

    At ``header``: float32 d[16], dmin[16], and 128 bytes of minima right behind them; strides in
    bytes.
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
            d, dmin = (load_as(builder, offset_by(builder, base, n), _FLOATS) for n in (0, 64))
            minima = [load_as(builder, offset_by(builder, base, 128 + n), _INTS) for n in (0, 64)]
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
                            x4 = load_as(
                                builder, offset_by(builder, row_sums, 8 * half + part), _I32
                            )
                            x4 = splat(builder, x4, _INTS)
                            total = dot4(builder, level, 8, total, minima[half], x4)
                        parts.append(total)
                    whole = builder.add(shifted(builder, parts[0], 6), parts[1])
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
    """Store a block's first ``panel_count`` panels, or add it to what is there; panels lie 64 bytes
    apart.
    """
    m, p = rows.literal_value, panels.literal_value
    kind = _block_type(rows, panels)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, entries, address, stride, count, add = values
        adds = builder.icmp_signed("!=", add, ir.Constant(_I64, 0))
        for panel in range(p):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(_I64, panel), count)):
                for row in range(m):
                    at = builder.add(address, builder.mul(stride, ir.Constant(_I64, row)))
                    target = builder.inttoptr(
                        offset_by(builder, at, 64 * panel), _FLOATS.as_pointer()
                    )
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
                    minimum = load_as(builder, offset_by(builder, bases[panel], 64), _FLOATS)
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
            factor = load_as(builder, offset_by(builder, address, 4 * row), ir.FloatType())
            value = builder.bitcast(builder.extract_value(entries, row), _FLOATS)
            result.append(builder.fmul(value, splat(builder, factor, _FLOATS)))
        return _as_block(builder, result)

    return kind(rows, kind, types.int64), codegen
