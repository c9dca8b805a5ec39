"""Blocks of accumulators that stay in registers.

A block is a tuple of V16 values, one for each row of activations; what a weight register holds
serves all of them. The number of rows is a literal, so that each operation unrolls as it is emitted
and LLVM keeps the tuple in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels.codes import codes_of, dot4, offset_by, shifted
from stillhouse.kernels.simd import V16, declare, load_as, splat, store_as

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS = ir.VectorType(_I32, 16)
_FLOATS = ir.VectorType(_F32, 16)


def _block_type(rows: Any) -> Any:
    return types.UniTuple(V16, rows.literal_value)


def _as_block(builder: Any, entries: list[Any]) -> Any:
    block = ir.Constant(ir.ArrayType(_INTS, len(entries)), ir.Undefined)
    for index, entry in enumerate(entries):
        block = builder.insert_value(block, builder.bitcast(entry, _INTS), index)
    return block


def _ints(builder: Any, block: Any, rows: int) -> list[Any]:
    return [builder.extract_value(block, row) for row in range(rows)]


def _floats(builder: Any, block: Any, rows: int) -> list[Any]:
    return [builder.bitcast(entry, _FLOATS) for entry in _ints(builder, block, rows)]


def _row_addresses(builder: Any, address: Any, stride: Any, rows: int) -> list[Any]:
    return [
        builder.add(address, builder.mul(stride, ir.Constant(_I64, row))) for row in range(rows)
    ]


def _broadcast(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    """The int32 or float32 at an address in all lanes: x86 folds it into what uses it."""
    vector = _FLOATS if kind is _F32 else _INTS
    return splat(builder, load_as(builder, offset_by(builder, address, offset), kind), vector)


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.call(declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3), [x, y, z])


@intrinsic(prefer_literal=True)
def block_of(typing: Any, rows: Any, value: Any) -> Any:
    """A block whose entries all are ``value``."""
    count = rows.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return _as_block(builder, [values[1]] * count)

    return _block_type(rows)(rows, V16), codegen


@intrinsic(prefer_literal=True)
def block_minus_sums(typing: Any, rows: Any, shift: Any, sums: Any, row_stride: Any) -> Any:
    """Entries start at -(sum << shift), one int32 sum a row: what an offset of 2^shift in the codes
    adds. A negative shift says that there is none: they start at 0.
    """
    count, by = rows.literal_value, shift.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, address, stride = values
        nothing = ir.Constant(_INTS, None)
        if by < 0:
            return _as_block(builder, [nothing] * count)
        entries = []
        for at in _row_addresses(builder, address, stride, count):
            total = shifted(builder, _broadcast(builder, at, 0, _I32), by)
            entries.append(builder.sub(nothing, total))
        return _as_block(builder, entries)

    return _block_type(rows)(rows, shift, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_dot(
    typing: Any, isa: Any, code_bits: Any, rows: Any, first: Any, count: Any, block: Any,
    chunk: Any, x: Any, row_stride: Any,
) -> Any:  # fmt: skip
    """block + codes · x for ``count`` steps of four codes, from step ``first`` of a packed chunk;
    x: int8 rows. Each code is taken out of its bits once for all rows.
    """
    literals = [argument.literal_value for argument in (isa, code_bits, rows, first, count)]
    kind = _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        level, bits, row_count, start, steps = literals
        *_, entries, chunk_at, x_at, stride = values
        totals = _ints(builder, entries, row_count)
        addresses = _row_addresses(builder, x_at, stride, row_count)
        for step in range(start, start + steps):
            codes = codes_of(builder, bits, chunk_at, step)
            for row, address in enumerate(addresses):
                x4 = _broadcast(builder, address, 4 * step, _I32)
                totals[row] = dot4(builder, level, bits, totals[row], codes, x4)
        return _as_block(builder, totals)

    return kind(isa, code_bits, rows, first, count, kind, *[types.int64] * 3), codegen


@intrinsic(prefer_literal=True)
def block_add_scaled(typing: Any, rows: Any, block: Any, sums: Any, scale: Any) -> Any:
    """block + float(sums) * scale."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, floats, ints, scale = values
        scale = builder.bitcast(scale, _FLOATS)
        result = []
        for total, into in zip(
            _ints(builder, ints, count), _floats(builder, floats, count), strict=True
        ):
            result.append(_fma(builder, builder.sitofp(total, _FLOATS), scale, into))
        return _as_block(builder, result)

    return kind(rows, kind, kind, V16), codegen


@intrinsic(prefer_literal=True)
def block_times(typing: Any, rows: Any, block: Any, factor: Any) -> Any:
    """block * factor, one V16 for all rows."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, entries, vector = values
        vector = builder.bitcast(vector, _FLOATS)
        products = [builder.fmul(entry, vector) for entry in _floats(builder, entries, count)]
        return _as_block(builder, products)

    return kind(rows, kind, V16), codegen


@intrinsic(prefer_literal=True)
def block_minus_minima(
    typing: Any, isa: Any, rows: Any, block: Any, dmin: Any, minima: Any, split_sums: Any,
    row_stride: Any,
) -> Any:  # fmt: skip
    """block - dmin * (minima · sums of x in eight groups), the dots exact: the sums come as 64 high
    + low, and for four groups each the minima are a vector of bytes.
    """
    level, count, kind = isa.literal_value, rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, entries, factor, minima_at, sums_at, stride = values
        factor = builder.bitcast(factor, _FLOATS)
        vectors = [load_as(builder, offset_by(builder, minima_at, n), _INTS) for n in (0, 64)]
        result = _floats(builder, entries, count)
        for row, at in enumerate(_row_addresses(builder, sums_at, stride, count)):
            high, low = ir.Constant(_INTS, None), ir.Constant(_INTS, None)
            for half, vector in enumerate(vectors):
                x4 = _broadcast(builder, at, 8 * half, _I32)
                high = dot4(builder, level, 8, high, vector, x4)
                x4 = _broadcast(builder, at, 8 * half + 4, _I32)
                low = dot4(builder, level, 8, low, vector, x4)
            total = builder.add(shifted(builder, high, 6), low)
            lowest = builder.fmul(factor, builder.sitofp(total, _FLOATS))
            result[row] = builder.fsub(result[row], lowest)
        return _as_block(builder, result)

    return kind(isa, rows, kind, V16, *[types.int64] * 3), codegen


@intrinsic(prefer_literal=True)
def block_add_rows_scaled(
    typing: Any, rows: Any, block: Any, values: Any, x_scales: Any, row_stride: Any
) -> Any:
    """block + values * x_scale, with one float32 x_scale a row."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, totals, values, scales, stride = arguments
        result, values = _floats(builder, totals, count), _floats(builder, values, count)
        for row, at in enumerate(_row_addresses(builder, scales, stride, count)):
            x_scale = _broadcast(builder, at, 0, _F32)
            result[row] = _fma(builder, values[row], x_scale, result[row])
        return _as_block(builder, result)

    return kind(rows, kind, kind, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_add_group(
    typing: Any, rows: Any, block: Any, dots: Any, scale: Any, x_scales: Any, row_stride: Any
) -> Any:
    """block + float(dots) * (scale * x_scale), with one float32 x_scale a row."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, totals, ints, vector, scales, stride = values
        vector = builder.bitcast(vector, _FLOATS)
        result, ints = _floats(builder, totals, count), _ints(builder, ints, count)
        for row, at in enumerate(_row_addresses(builder, scales, stride, count)):
            factor = builder.fmul(vector, _broadcast(builder, at, 0, _F32))
            result[row] = _fma(builder, builder.sitofp(ints[row], _FLOATS), factor, result[row])
        return _as_block(builder, result)

    return kind(rows, kind, kind, V16, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_minus_minimum(
    typing: Any, rows: Any, block: Any, minimum: Any, x_scales: Any, scales_stride: Any, sums: Any,
    sums_stride: Any,
) -> Any:  # fmt: skip
    """block - minimum * (x_scale * sum): one float32 x_scale and one int32 sum of x a row."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, entries, vector, scales, scales_by, sums_at, sums_by = values
        vector = builder.bitcast(vector, _FLOATS)
        result = _floats(builder, entries, count)
        scale_addresses = _row_addresses(builder, scales, scales_by, count)
        sum_addresses = _row_addresses(builder, sums_at, sums_by, count)
        for row in range(count):
            x_scale = _broadcast(builder, scale_addresses[row], 0, _F32)
            x_sum = builder.sitofp(_broadcast(builder, sum_addresses[row], 0, _I32), _FLOATS)
            lowest = builder.fmul(vector, builder.fmul(x_scale, x_sum))
            result[row] = builder.fsub(result[row], lowest)
        return _as_block(builder, result)

    return kind(rows, kind, V16, *[types.int64] * 4), codegen


@intrinsic(prefer_literal=True)
def block_store(
    typing: Any, rows: Any, block: Any, out: Any, row_stride: Any, accumulate: Any
) -> Any:
    """Store a block, one row every ``row_stride`` bytes, or add it to what is there."""
    count = rows.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, entries, out_at, stride, add = values
        adds = builder.icmp_signed("!=", add, ir.Constant(_I64, 0))
        floats = _floats(builder, entries, count)
        for value, at in zip(floats, _row_addresses(builder, out_at, stride, count), strict=True):
            total = builder.fadd(load_as(builder, at, _FLOATS), value)
            store_as(builder, at, builder.select(adds, total, value))
        return context.get_dummy_value()

    return types.void(rows, _block_type(rows), *[types.int64] * 3), codegen


@intrinsic(prefer_literal=True)
def block_fma(typing: Any, rows: Any, block: Any, values: Any, x: Any, row_stride: Any) -> Any:
    """block + values * x, with one float32 x a row, ``row_stride`` bytes apart."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, entries, vector, x_at, stride = arguments
        vector = builder.bitcast(vector, _FLOATS)
        result = _floats(builder, entries, count)
        for row, at in enumerate(_row_addresses(builder, x_at, stride, count)):
            result[row] = _fma(builder, vector, _broadcast(builder, at, 0, _F32), result[row])
        return _as_block(builder, result)

    return kind(rows, kind, V16, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_load(typing: Any, rows: Any, address: Any, row_stride: Any) -> Any:
    """One vector a row, ``row_stride`` bytes apart."""
    count = rows.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, start, stride = arguments
        addresses = _row_addresses(builder, start, stride, count)
        return _as_block(builder, [load_as(builder, at, _INTS) for at in addresses])

    return _block_type(rows)(rows, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def block_scale(typing: Any, rows: Any, block: Any, factors: Any) -> Any:
    """block * factors: one float32 a row, side by side."""
    count, kind = rows.literal_value, _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, entries, address = arguments
        result = [
            builder.fmul(entry, _broadcast(builder, address, 4 * row, _F32))
            for row, entry in enumerate(_floats(builder, entries, count))
        ]
        return _as_block(builder, result)

    return kind(rows, kind, types.int64), codegen
