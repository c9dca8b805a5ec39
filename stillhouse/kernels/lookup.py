"""Bytes looked up in a table of sixteen: the values that nonlinear 4-bit codes stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from stillhouse.kernels.isa import Isa
from stillhouse.kernels.simd import declare

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_BYTES = ir.VectorType(_I8, 64)
_HALF = ir.VectorType(_I8, 32)


def look_up_16(builder: Any, isa: int, values: Sequence[int], indices: Any) -> Any:
    """values[index] for 64 byte indices from 0 to 15; ``values``: sixteen unsigned bytes."""
    indices = builder.bitcast(indices, _BYTES)
    if isa >= Isa.AVX512_VNNI:
        shuffle = declare(builder, "llvm.x86.avx512.pshuf.b.512", _BYTES, [_BYTES, _BYTES])
        return builder.call(shuffle, [ir.Constant(_BYTES, list(values) * 4), indices])
    if isa >= Isa.AVX2:
        shuffle = declare(builder, "llvm.x86.avx2.pshuf.b", _HALF, [_HALF, _HALF])
        table, halves = ir.Constant(_HALF, list(values) * 2), []
        for first in (0, 32):
            lanes = ir.Constant(ir.VectorType(_I32, 32), list(range(first, first + 32)))
            half = builder.shuffle_vector(indices, indices, lanes)
            halves.append(builder.call(shuffle, [table, half]))
        whole = ir.Constant(ir.VectorType(_I32, 64), list(range(64)))
        return builder.shuffle_vector(halves[0], halves[1], whole)
    return _choose(builder, values, indices)


def _choose(builder: Any, values: Sequence[int], indices: Any) -> Any:
    """No table: each bit of an index halves what it may still name, the lowest bit first."""
    left = [ir.Constant(_BYTES, [value] * 64) for value in values]
    for bit in range(4):
        mask = builder.and_(indices, ir.Constant(_BYTES, [1 << bit] * 64))
        is_set = builder.icmp_unsigned("!=", mask, ir.Constant(_BYTES, None))
        left = [
            builder.select(is_set, odd, even)
            for even, odd in zip(left[0::2], left[1::2], strict=True)
        ]
    return left[0]
