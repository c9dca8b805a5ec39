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

from stillhouse.kernels.codes import dot_chunk, form_tables, num_form_tables, offset_by, shifted
from stillhouse.kernels.scales import load_minima, minima_dot
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
def code_tables(typing: Any, isa: Any, form: Any) -> Any:
    """What a loop over chunks keeps in registers for ``block_dot``: a tuple of V16, at least
    one. ``form``: see Layout.code_form.
    """
    level, code_form = isa.literal_value, form.literal_value
    count = max(1, num_form_tables(level, code_form))

    def codegen(context: Any, builder: Any, _signature: Any, _values: Any) -> Any:
        tables = form_tables(builder, level, code_form)
        return _as_block(builder, tables or [ir.Constant(_INTS, None)])

    return types.UniTuple(V16, count)(isa, form), codegen


@intrinsic(prefer_literal=True)
def block_dot(
    typing: Any, isa: Any, form: Any, rows: Any, tables: Any, block: Any, chunk: Any, x: Any,
    row_stride: Any,
) -> Any:  # fmt: skip
    """block + codes · x: a packed chunk of 32 columns, int8 rows x; ``tables``: code_tables'."""
    literals = [argument.literal_value for argument in (isa, form, rows)]
    kind = _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        level, code_form, count = literals
        *_, table_values, entries, chunk_at, x_at, stride = values
        in_registers = _ints(builder, table_values, len(tables))
        totals = [_ints(builder, entries, count)]
        addresses = _row_addresses(builder, x_at, stride, count)
        (sums,) = dot_chunk(builder, level, code_form, in_registers, totals, chunk_at, addresses)
        return _as_block(builder, sums)

    return kind(isa, form, rows, tables, kind, *[types.int64] * 3), codegen


@intrinsic(prefer_literal=True)
def block_dot_halves(
    typing: Any, isa: Any, form: Any, rows: Any, tables: Any, first: Any, second: Any, chunk: Any,
    x: Any, row_stride: Any,
) -> Any:  # fmt: skip
    """The same for a chunk's first and last sixteen columns, each onto a block of its own."""
    literals = [argument.literal_value for argument in (isa, form, rows)]
    kind = _block_type(rows)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        level, code_form, count = literals
        *_, table_values, low, high, chunk_at, x_at, stride = values
        in_registers = _ints(builder, table_values, len(tables))
        totals = [_ints(builder, entries, count) for entries in (low, high)]
        addresses = _row_addresses(builder, x_at, stride, count)
        sums = dot_chunk(builder, level, code_form, in_registers, totals, chunk_at, addresses)
        halves = [_as_block(builder, half) for half in sums]
        return context.make_tuple(builder, signature.return_type, halves)

    two = types.UniTuple(kind, 2)
    return two(isa, form, rows, tables, kind, kind, *[types.int64] * 3), codegen


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
    typing: Any, isa: Any, groups: Any, rows: Any, block: Any, dmin: Any, minima: Any, sums: Any,
    row_stride: Any,
) -> Any:  # fmt: skip
    """block - dmin * (minima · sums of x in ``groups`` groups), the dots exact. ``sums``: see
    ``minima_dot``.
    """
    literals = [argument.literal_value for argument in (isa, groups, rows)]
    kind = _block_type(rows)

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        level, group_count, count = literals
        *_, entries, factor, minima_at, sums_at, stride = values
        factor = builder.bitcast(factor, _FLOATS)
        vectors = load_minima(builder, group_count, minima_at)
        result = _floats(builder, entries, count)
        for row, at in enumerate(_row_addresses(builder, sums_at, stride, count)):
            total = minima_dot(builder, level, vectors, at)
            lowest = builder.fmul(factor, builder.sitofp(total, _FLOATS))
            result[row] = builder.fsub(result[row], lowest)
        return _as_block(builder, result)

    return kind(isa, groups, rows, kind, V16, *[types.int64] * 3), codegen


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
