"""Fields of blocks, at any address: what packing reads and writes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels import simd

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def load_word(typing: Any, address: Any) -> Any:
    """An unsigned 32-bit word at any address."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], _I32), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def load_half(typing: Any, address: Any) -> Any:
    """Sixteen bits at any address."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], ir.IntType(16)), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def put_half(typing: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        simd.store_as(builder, values[0], builder.trunc(values[1], ir.IntType(16)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def load_byte(typing: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(simd.load_as(builder, values[0], ir.IntType(8)), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def put_float_as_half(typing: Any, address: Any, value: Any) -> Any:
    """Store a float32 as the nearest float16, ties to even."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        simd.store_as(builder, values[0], builder.fptrunc(values[1], ir.HalfType()))
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), codegen


@intrinsic
def put_byte(typing: Any, address: Any, value: Any) -> Any:
    """Store the low eight bits of an integer."""

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        simd.store_as(builder, values[0], builder.trunc(values[1], ir.IntType(8)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen
