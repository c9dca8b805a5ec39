"""Sixteen searches at once: comparing, choosing, folding and turning vectors of float32 lanes.

More of the vocabulary of ``simd``, for what writes formats: there a lane is a group of numbers
that share a scale, and a vector holds one number of each of sixteen groups.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from stillhouse.kernels.simd import LANES, declare, load_as, operation, store_as

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(_F32, LANES)
_HALVES = ir.VectorType(ir.HalfType(), LANES)


def _floats(builder: Any, *values: Any) -> list[Any]:
    return [builder.bitcast(value, _FLOATS) for value in values]


def _splat(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * LANES)


def _shuffle(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(_INTS, lanes))


@operation("vv>v")
def minimum(builder: Any, x: Any, y: Any) -> Any:
    x, y = _floats(builder, x, y)
    return builder.select(builder.fcmp_ordered("<", x, y), x, y)


@operation("vv>v")
def maximum_i32(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.icmp_signed(">", x, y), x, y)


@operation("vvvv>v")
def where_greater(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """``x`` in lanes where a > b, else ``y``."""
    a, b, x, y = _floats(builder, a, b, x, y)
    return builder.select(builder.fcmp_ordered(">", a, b), x, y)


@operation("vv>v")
def ratio(builder: Any, x: Any, y: Any) -> Any:
    """x / y, and 0 where y is 0."""
    x, y = _floats(builder, x, y)
    zero = builder.fcmp_ordered("==", y, _splat(0.0))
    return builder.select(zero, _splat(0.0), builder.fdiv(x, y))


@operation("v>v")
def sqrt(builder: Any, v: Any) -> Any:
    function = declare(builder, "llvm.sqrt.v16f32", _FLOATS, [_FLOATS])
    return builder.call(function, _floats(builder, v))


@operation("v>v")
def rounded(builder: Any, v: Any) -> Any:
    """The nearest whole number as a float, ties to even, for |v| < 2^22."""
    (x,) = _floats(builder, v)
    return builder.fsub(builder.fadd(x, _splat(12582912.0)), _splat(12582912.0))


@operation("vv>v")
def rounded_product(builder: Any, x: Any, y: Any) -> Any:
    """The whole number nearest to x * y, ties to even, for |x * y| < 2^22: in one step less."""
    function = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
    shifted = builder.call(function, [*_floats(builder, x, y), _splat(12582912.0)])
    return builder.fsub(shifted, _splat(12582912.0))


@operation("v>v")
def as_half(builder: Any, v: Any) -> Any:
    """The nearest float16's value, ties to even."""
    return builder.fpext(builder.fptrunc(_floats(builder, v)[0], _HALVES), _FLOATS)


def _fold(width: int, combine: Any) -> Any:
    """Every lane gets what ``combine`` makes of the ``width`` neighbours it belongs to."""

    def emit(builder: Any, v: Any) -> Any:
        (x,) = _floats(builder, v)
        step = width // 2
        while step:
            x = combine(builder, x, _shuffle(builder, x, x, [n ^ step for n in range(LANES)]))
            step //= 2
        return x

    return operation("v>v")(emit)


def _larger(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _sum(builder: Any, x: Any, y: Any) -> Any:
    return builder.fadd(x, y)


max_of_8 = _fold(8, _larger)
max_of_16 = _fold(16, _larger)
sum_of_8 = _fold(8, _sum)
sum_of_16 = _fold(16, _sum)


@operation("iii>-")
def turn(builder: Any, addresses: Any, offset: Any, target: Any) -> None:
    """Sixteen floats from each of sixteen addresses, ``offset`` bytes on, into sixteen vectors:
    the first numbers of all, the second ones, and so on.

    ``addresses`` points to int64s. Four rounds swap blocks of 8, 4, 2 and 1 lanes between vectors
    that far apart.
    """
    rows = []
    for n in range(LANES):
        at = builder.add(addresses, ir.Constant(_I64, 8 * n))
        rows.append(load_as(builder, builder.add(load_as(builder, at, _I64), offset), _FLOATS, 4))
    step = LANES // 2
    while step:
        low = [n if not n & step else LANES + (n ^ step) for n in range(LANES)]
        high = [n + step if not n & step else LANES + n for n in range(LANES)]
        for n in range(LANES):
            if not n & step:
                pair = rows[n], rows[n + step]
                rows[n] = _shuffle(builder, *pair, low)
                rows[n + step] = _shuffle(builder, *pair, high)
        step //= 2
    for n in range(LANES):
        at = builder.add(target, ir.Constant(_I64, 64 * n))
        store_as(builder, at, rows[n], 4)


@operation("iv>-")
def store_as_half(builder: Any, address: Any, v: Any) -> None:
    """Sixteen floats as float16, rounded to nearest even."""
    store_as(builder, address, builder.fptrunc(_floats(builder, v)[0], _HALVES))


@operation("vi>i")
def bits_set(builder: Any, v: Any, mask: Any) -> Any:
    """One bit a lane, lane 0's lowest: whether any bit of the mask is set in it."""
    word = builder.trunc(mask, _I32)
    undefined = ir.Constant(_INTS, ir.Undefined)
    first = builder.insert_element(undefined, word, ir.Constant(_I32, 0))
    masks = builder.shuffle_vector(first, undefined, ir.Constant(_INTS, None))
    found = builder.icmp_unsigned("!=", builder.and_(v, masks), ir.Constant(_INTS, None))
    return builder.zext(builder.bitcast(found, ir.IntType(LANES)), _I64)
