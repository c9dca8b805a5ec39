"""Matrix tiles: eight registers of 16 rows of 64 bytes, and products of bf16 tiles with float32
sums.

The instructions are x86's AMX. For any other level the same operations work on eight tiles in
memory, slowly but to the letter, so that the loops over tiles are proved on every processor.
``file`` is the address of that memory (TILE_FILE_BYTES, one for each thread); real tiles ignore it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS

TILE_BYTES = 1024
TILE_FILE_BYTES = 8 * TILE_BYTES

_I8, _I64 = ir.IntType(8), ir.IntType(64)


def configuration() -> Any:
    """What ``tile_configure`` loads: palette 1, eight tiles of 16 rows of 64 bytes. uint8 (64,)."""
    config = np.zeros(64, np.uint8)
    config[0] = 1
    config[16:32].view(np.uint16)[:] = 64
    config[48:56] = 16
    return config


def _tile_number(value: int) -> Any:
    return ir.Constant(_I8, value)


@intrinsic
def _configure(typing: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        function = simd.declare(builder, "llvm.x86.ldtilecfg", ir.VoidType(), [_I8.as_pointer()])
        builder.call(function, [simd.pointer(builder, values[0], _I8)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic(prefer_literal=True)
def _zero(typing: Any, tile: Any) -> Any:
    number = tile.literal_value

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        function = simd.declare(builder, "llvm.x86.tilezero", ir.VoidType(), [_I8])
        builder.call(function, [_tile_number(number)])
        return context.get_dummy_value()

    return types.void(tile), codegen


def _mover(name: str) -> Any:
    @intrinsic(prefer_literal=True)
    def move(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
        number = tile.literal_value

        def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            function = simd.declare(builder, name, ir.VoidType(), [_I8, _I8.as_pointer(), _I64])
            address_value = simd.pointer(builder, values[1], _I8)
            builder.call(function, [_tile_number(number), address_value, values[2]])
            return context.get_dummy_value()

        return types.void(tile, types.int64, types.int64), codegen

    return move


_load = _mover("llvm.x86.tileloadd64")
_store = _mover("llvm.x86.tilestored64")


@intrinsic(prefer_literal=True)
def _dot(typing: Any, total: Any, a: Any, b: Any) -> Any:
    numbers = [tile.literal_value for tile in (total, a, b)]

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        function = simd.declare(builder, "llvm.x86.tdpbf16ps", ir.VoidType(), [_I8] * 3)
        builder.call(function, [_tile_number(number) for number in numbers])
        return context.get_dummy_value()

    return types.void(total, a, b), codegen


@njit(inline="always", **NJIT_OPTIONS)
def tile_configure(ISA: int, config: int) -> None:
    """Every thread does this before its first tile. ``config``: address of ``configuration()``."""
    if ISA >= 3:
        _configure(config)


# The tiles in memory, in functions of their own: written into a kernel at each use, they would take
# LLVM many times as long.


@njit(**NJIT_OPTIONS)
def _copy_in_memory(source: int, source_stride: int, target: int, target_stride: int) -> None:
    for row in range(16):
        simd.store(target + row * target_stride, simd.load(source + row * source_stride))


@njit(**NJIT_OPTIONS)
def _dot_in_memory(total_at: int, a: int, b: int) -> None:
    for m in range(16):
        total = simd.load(total_at + 64 * m)
        for pair in range(16):
            both = simd.broadcast_load(a + 64 * m + 4 * pair)
            weights = simd.load(b + 64 * pair)
            total = simd.fma(simd.shift_left(both, 16), simd.shift_left(weights, 16), total)
            high = simd.and_constant(weights, 0xFFFF0000)
            total = simd.fma(simd.and_constant(both, 0xFFFF0000), high, total)
        simd.store(total_at + 64 * m, total)


@njit(inline="always", **NJIT_OPTIONS)
def tile_zero(ISA: int, TILE: int, file: int) -> None:
    if ISA >= 3:
        _zero(TILE)
    else:
        for row in range(16):
            simd.store(file + TILE * TILE_BYTES + 64 * row, simd.zeros())


@njit(inline="always", **NJIT_OPTIONS)
def tile_load(ISA: int, TILE: int, file: int, address: int, stride: int) -> None:
    """Sixteen rows of 64 bytes, ``stride`` bytes apart."""
    if ISA >= 3:
        _load(TILE, address, stride)
    else:
        _copy_in_memory(address, stride, file + TILE * TILE_BYTES, 64)


@njit(inline="always", **NJIT_OPTIONS)
def tile_store(ISA: int, TILE: int, file: int, address: int, stride: int) -> None:
    if ISA >= 3:
        _store(TILE, address, stride)
    else:
        _copy_in_memory(file + TILE * TILE_BYTES, 64, address, stride)


@njit(inline="always", **NJIT_OPTIONS)
def tile_dot(ISA: int, TOTAL: int, A: int, B: int, file: int) -> None:
    """TOTAL[m, n] += sum over k of A[m, k] * B[k / 2, 2 n + k % 2], bf16 in float32, k from 0 to
    31.
    """
    if ISA >= 3:
        _dot(TOTAL, A, B)
    else:
        _dot_in_memory(file + TOTAL * TILE_BYTES, file + A * TILE_BYTES, file + B * TILE_BYTES)
