"""The integer scales and minima of superblock records (see layouts.py)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stillhouse.kernels.codes import dot4, masked, offset_by, shifted
from stillhouse.kernels.layouts import ScaleForm
from stillhouse.kernels.simd import V16, load_as, splat

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_INTS, _FLOATS = ir.VectorType(_I32, 16), ir.VectorType(ir.FloatType(), 16)
_WORDS, _PRODUCTS = ir.VectorType(_I16, 32), ir.VectorType(_I32, 32)


@intrinsic(prefer_literal=True)
def group_scale(typing: Any, form: Any, scales: Any, group: Any) -> Any:
    """A group's sixteen scales as floats. ``form``: a ScaleForm."""
    kind = form.literal_value
    per_byte = 1 if kind in (ScaleForm.BYTES, ScaleForm.SIGNED_BYTES) else 2

    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, address, number = values
        vector = builder.udiv(number, ir.Constant(_I64, per_byte))
        at = builder.add(address, builder.mul(vector, ir.Constant(_I64, 16)))
        scale = load_as(builder, at, ir.VectorType(_I8, 16))
        if kind == ScaleForm.SIGNED_BYTES:
            return builder.bitcast(builder.sitofp(scale, _FLOATS), _INTS)
        scale = builder.zext(scale, _INTS)
        if per_byte == 2:
            by = builder.shl(builder.and_(number, ir.Constant(_I64, 1)), ir.Constant(_I64, 2))
            scale = builder.lshr(scale, splat(builder, builder.trunc(by, _I32), _INTS))
            scale = masked(builder, scale, 15)
        if kind == ScaleForm.ODD_HALF_BYTES:
            scale = builder.or_(shifted(builder, scale, 1), ir.Constant(_INTS, [1] * 16))
        return builder.bitcast(builder.sitofp(scale, _FLOATS), _INTS)

    return V16(form, types.int64, types.int64), codegen


def _dot2(builder: Any, total: Any, words: Any, x: Any) -> Any:
    """total + words · x, two 16-bit neighbours to a lane. LLVM knows this as pmaddwd."""
    products = builder.mul(
        *(builder.sext(builder.bitcast(value, _WORDS), _PRODUCTS) for value in (words, x))
    )
    even, odd = (
        builder.shuffle_vector(products, products, ir.Constant(_INTS, list(range(first, 32, 2))))
        for first in (0, 1)
    )
    return builder.add(total, builder.add(even, odd))


def load_minima(builder: Any, groups: int, address: Any) -> list[Any]:
    """A record's minima as the vectors that ``minima_dot`` multiplies: two of bytes for eight
    groups, eight of 16-bit words for sixteen.
    """
    vectors = [load_as(builder, offset_by(builder, address, n), _INTS) for n in (0, 64)]
    if groups == 8:
        return vectors
    return [
        masked(builder, shifted(builder, vector, -4 * n), 0x000F000F)
        for vector in vectors
        for n in range(4)
    ]


def minima_dot(builder: Any, isa: int, minima: list[Any], sums: Any) -> Any:
    """Sum of minimum * (sum of x in the group) in int32, exact.

    ``sums``: the record's split sums (64 hi + lo) for eight groups, its sums16 for sixteen.
    """
    total = ir.Constant(_INTS, None)
    if len(minima) == 2:
        parts = []
        for part in (0, 4):
            at = [offset_by(builder, sums, 8 * half + part) for half in (0, 1)]
            parts.append(total)
            for half in (0, 1):
                x4 = splat(builder, load_as(builder, at[half], _I32), _INTS)
                parts[-1] = dot4(builder, isa, 8, parts[-1], minima[half], x4)
        return builder.add(shifted(builder, parts[0], 6), parts[1])
    # A sum of sixteen is below 2^11, so two fit into a lane.
    words = builder.trunc(load_as(builder, sums, _INTS), ir.VectorType(_I16, 16))
    pairs = builder.bitcast(words, ir.VectorType(_I32, 8))
    for n, pair_of_minima in enumerate(minima):
        lanes = ir.Constant(_INTS, [n] * 16)
        total = _dot2(builder, total, pair_of_minima, builder.shuffle_vector(pairs, pairs, lanes))
    return total
