"""The SIMD vocabulary: sixteen 32-bit lanes in one value, and what can be done with them.

One numba type, ``V16``, stands for an LLVM vector of sixteen 32-bit lanes; every operation reads
the bits as it needs them (integers, floats, or 64 bytes). LLVM lowers all of it for SSE2, AVX2,
AVX-512 or NEON. Only ``dot4`` has a variant per instruction set. Addresses are plain int64 and need
no alignment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 16

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F16, _F32 = ir.HalfType(), ir.FloatType()
_INTS = ir.VectorType(_I32, LANES)
_FLOATS = ir.VectorType(_F32, LANES)
_BYTES = ir.VectorType(_I8, 64)
_WORDS = ir.VectorType(_I16, 32)


class V16Type(types.Type):
    """Sixteen 32-bit lanes."""

    def __init__(self) -> None:
        super().__init__(name="V16")


V16 = V16Type()


@register_model(V16Type)
class _V16Model(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _INTS)


_KINDS = {"v": V16, "i": types.int64, "f": types.float32, "-": types.void}

Emit = Callable[..., Any]


def operation(signature: str) -> Callable[[Emit], Any]:
    """Turn ``emit(builder, *values)`` into a function that kernels can call.

    ``signature`` is arguments and result, one letter each: v = V16, i = int64, f = float32, - =
    nothing; for example ``"vv>v"``.
    """
    takes, gives = signature.split(">")
    arguments, result = [_KINDS[kind] for kind in takes], _KINDS[gives]

    def wrap(emit: Emit) -> Any:
        def codegen(context: Any, builder: Any, _signature: Any, values: Sequence[Any]) -> Any:
            value = emit(builder, *values)
            if result is types.void:
                return context.get_dummy_value()
            return builder.bitcast(value, _INTS) if result is V16 else value

        typed = result(*arguments)
        # numba reads an intrinsic's arity from its parameter list, so there is one form for each.
        if len(arguments) == 0:
            return intrinsic(lambda typing: (typed, codegen))
        if len(arguments) == 1:
            return intrinsic(lambda typing, a: (typed, codegen))
        if len(arguments) == 2:
            return intrinsic(lambda typing, a, b: (typed, codegen))
        if len(arguments) == 3:
            return intrinsic(lambda typing, a, b, c: (typed, codegen))
        return intrinsic(lambda typing, a, b, c, d: (typed, codegen))

    return wrap


def declare(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """The LLVM function of that name, declared once a module."""
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def pointer(builder: Any, address: Any, to: Any) -> Any:
    return builder.inttoptr(address, to.as_pointer())


def load_as(builder: Any, address: Any, kind: Any, align: int = 1) -> Any:
    value = builder.load(pointer(builder, address, kind))
    value.align = align
    return value


def store_as(builder: Any, address: Any, value: Any, align: int = 1) -> None:
    builder.store(value, pointer(builder, address, value.type), align=align)


def splat(builder: Any, scalar: Any, kind: Any) -> Any:
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    lanes = ir.Constant(ir.VectorType(_I32, kind.count), None)
    return builder.shuffle_vector(first, undefined, lanes)


def _floats(builder: Any, *values: Any) -> list[Any]:
    return [builder.bitcast(value, _FLOATS) for value in values]


def _constant_floats(value: float) -> Any:
    return ir.Constant(_FLOATS, [value] * LANES)


def _constant_ints(value: int) -> Any:
    return ir.Constant(_INTS, [value] * LANES)


# ---- scalars in memory ----

load_i64 = operation("i>i")(lambda b, address: load_as(b, address, _I64, 8))
load_i32 = operation("i>i")(lambda b, address: b.sext(load_as(b, address, _I32, 4), _I64))
load_f32 = operation("i>f")(lambda b, address: load_as(b, address, _F32, 4))
store_i64 = operation("ii>-")(lambda b, address, value: store_as(b, address, value, 8))
store_i32 = operation("ii>-")(
    lambda b, address, value: store_as(b, address, b.trunc(value, _I32), 4)
)
store_i8 = operation("ii>-")(lambda b, address, value: store_as(b, address, b.trunc(value, _I8)))
store_f32 = operation("if>-")(lambda b, address, value: store_as(b, address, value, 4))


@operation("if>-")
def store_bf16(builder: Any, address: Any, value: Any) -> None:
    """Store a float32 as bfloat16, rounded to nearest even. Finite values only."""
    bits = builder.bitcast(value, _I32)
    odd = builder.and_(builder.lshr(bits, ir.Constant(_I32, 16)), ir.Constant(_I32, 1))
    rounded = builder.add(builder.add(bits, ir.Constant(_I32, 0x7FFF)), odd)
    high = builder.trunc(builder.lshr(rounded, ir.Constant(_I32, 16)), _I16)
    store_as(builder, address, high, 2)


# ---- vectors in memory ----

load = operation("i>v")(lambda b, address: load_as(b, address, _INTS))
store = operation("iv>-")(lambda b, address, v: store_as(b, address, v))
broadcast_load = operation("i>v")(lambda b, address: splat(b, load_as(b, address, _I32), _INTS))


@operation("i>v")
def broadcast_bf16(builder: Any, address: Any) -> Any:
    """One bfloat16 in all lanes."""
    bits = builder.zext(load_as(builder, address, _I16, 2), _I32)
    return splat(builder, builder.shl(bits, ir.Constant(_I32, 16)), _INTS)


@operation("i>v")
def load_u8_as_f32(builder: Any, address: Any) -> Any:
    return builder.uitofp(load_as(builder, address, ir.VectorType(_I8, LANES)), _FLOATS)


@operation("i>v")
def load_i8_as_f32(builder: Any, address: Any) -> Any:
    return builder.sitofp(load_as(builder, address, ir.VectorType(_I8, LANES)), _FLOATS)


@operation("i>v")
def load_bf16_as_f32(builder: Any, address: Any) -> Any:
    words = builder.zext(load_as(builder, address, ir.VectorType(_I16, LANES)), _INTS)
    return builder.shl(words, _constant_ints(16))


@operation("i>v")
def load_f16_as_f32(builder: Any, address: Any) -> Any:
    """Sixteen halves to floats in integer arithmetic: right for all finite values, subnormals
    included.

    A half's exponent and mantissa, moved to a float's places, are the value times 2^-112; one
    product undoes it. (LLVM's own conversion calls a library routine where the processor has no
    F16C.)
    """
    words = builder.zext(load_as(builder, address, ir.VectorType(_I16, LANES)), _INTS)
    magnitude = builder.shl(builder.and_(words, _constant_ints(0x7FFF)), _constant_ints(13))
    scaled = builder.fmul(builder.bitcast(magnitude, _FLOATS), _constant_floats(2.0**112))
    sign = builder.shl(builder.and_(words, _constant_ints(0x8000)), _constant_ints(16))
    return builder.or_(builder.bitcast(scaled, _INTS), sign)


@operation("iv>-")
def store_low_bytes(builder: Any, address: Any, v: Any) -> None:
    """The low byte of each lane, sixteen bytes in all."""
    store_as(builder, address, builder.trunc(v, ir.VectorType(_I8, LANES)))


@operation("iv>-")
def store_as_bf16(builder: Any, address: Any, v: Any) -> None:
    """Sixteen floats as bfloat16, rounded to nearest even. Finite values only."""
    odd = builder.and_(builder.lshr(v, _constant_ints(16)), _constant_ints(1))
    rounded = builder.add(builder.add(v, _constant_ints(0x7FFF)), odd)
    high = builder.trunc(builder.lshr(rounded, _constant_ints(16)), ir.VectorType(_I16, LANES))
    store_as(builder, address, high)


@operation("vv>v")
def pack_bf16(builder: Any, first: Any, second: Any) -> Any:
    """Two vectors of floats as bfloat16 pairs, ``first`` in the low halves; rounded to nearest
    even.
    """
    halves = []
    for v in (first, second):
        odd = builder.and_(builder.lshr(v, _constant_ints(16)), _constant_ints(1))
        halves.append(builder.add(builder.add(v, _constant_ints(0x7FFF)), odd))
    low = builder.lshr(halves[0], _constant_ints(16))
    return builder.or_(low, builder.and_(halves[1], _constant_ints(0xFFFF0000)))


def _prefetch(locality: int) -> Any:
    def emit(builder: Any, address: Any) -> None:
        # llvm.prefetch(pointer, read = 0, locality 0..3, data = 1)
        function = declare(
            builder, "llvm.prefetch.p0", ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32]
        )
        rest = [ir.Constant(_I32, n) for n in (0, locality, 1)]
        builder.call(function, [pointer(builder, address, _I8), *rest])

    return operation("i>-")(emit)


prefetch_l1 = _prefetch(3)
prefetch_l2 = _prefetch(2)

# ---- integers ----


@operation(">v")
def zeros(_builder: Any) -> Any:
    return ir.Constant(_INTS, None)


splat_i32 = operation("i>v")(lambda b, n: splat(b, b.trunc(n, _I32), _INTS))
splat_f32 = operation("f>v")(lambda b, x: splat(b, x, _FLOATS))
lane_numbers = operation(">v")(lambda _b: ir.Constant(_INTS, list(range(LANES))))
add_i32 = operation("vv>v")(lambda b, x, y: b.add(x, y))
sub_i32 = operation("vv>v")(lambda b, x, y: b.sub(x, y))
or_bits = operation("vv>v")(lambda b, x, y: b.or_(x, y))
and_constant = operation("vi>v")(lambda b, v, mask: b.and_(v, splat(b, b.trunc(mask, _I32), _INTS)))
shift_left = operation("vi>v")(lambda b, v, n: b.shl(v, splat(b, b.trunc(n, _I32), _INTS)))
shift_right = operation("vi>v")(lambda b, v, n: b.lshr(v, splat(b, b.trunc(n, _I32), _INTS)))
to_f32 = operation("v>v")(lambda b, v: b.sitofp(v, _FLOATS))


@operation("vi>v")
def minimum_i32(builder: Any, v: Any, n: Any) -> Any:
    limit = splat(builder, builder.trunc(n, _I32), _INTS)
    return builder.select(builder.icmp_signed("<", v, limit), v, limit)


# ---- floats ----

add = operation("vv>v")(lambda b, x, y: b.fadd(*_floats(b, x, y)))
sub = operation("vv>v")(lambda b, x, y: b.fsub(*_floats(b, x, y)))
mul = operation("vv>v")(lambda b, x, y: b.fmul(*_floats(b, x, y)))
div = operation("vv>v")(lambda b, x, y: b.fdiv(*_floats(b, x, y)))


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    function = declare(builder, "llvm.fma.v16f32", _FLOATS, [_FLOATS] * 3)
    return builder.call(function, _floats(builder, x, y, z))


fma = operation("vvv>v")(_fma)


def _maximum(builder: Any, x: Any, y: Any) -> Any:
    x, y = _floats(builder, x, y)
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


maximum = operation("vv>v")(_maximum)
magnitude = operation("v>v")(lambda b, v: b.and_(v, _constant_ints(0x7FFFFFFF)))


@operation("vi>v")
def keep_first(builder: Any, v: Any, count: Any) -> Any:
    """Lanes 0 to count - 1 as they are, the rest a very large negative float: weight 0 after
    softmax.
    """
    lanes = ir.Constant(_INTS, list(range(LANES)))
    inside = builder.icmp_signed("<", lanes, splat(builder, builder.trunc(count, _I32), _INTS))
    return builder.select(inside, builder.bitcast(v, _FLOATS), _constant_floats(-1e30))


@operation("v>v")
def round_to_i32(builder: Any, v: Any) -> Any:
    """Nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 leaves it in the low
    mantissa bits.
    """
    (x,) = _floats(builder, v)
    shifted = builder.fadd(x, _constant_floats(12582912.0))
    return builder.sub(builder.bitcast(shifted, _INTS), _constant_ints(0x4B400000))


def _halves(builder: Any, v: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Fold sixteen lanes to one in four steps, always in the same order."""
    width = LANES
    while width > 1:
        width //= 2
        low = ir.Constant(ir.VectorType(_I32, width), list(range(width)))
        high = ir.Constant(ir.VectorType(_I32, width), list(range(width, 2 * width)))
        v = combine(builder.shuffle_vector(v, v, low), builder.shuffle_vector(v, v, high))
    return builder.extract_element(v, ir.Constant(_I32, 0))


@operation("v>f")
def sum_lanes(builder: Any, v: Any) -> Any:
    return _halves(builder, _floats(builder, v)[0], builder.fadd)


@operation("v>i")
def sum_lanes_i32(builder: Any, v: Any) -> Any:
    return builder.sext(_halves(builder, v, builder.add), _I64)


@operation("v>f")
def max_lanes(builder: Any, v: Any) -> Any:
    def larger(x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", x, y), x, y)

    return _halves(builder, _floats(builder, v)[0], larger)


@operation("v>v")
def exp(builder: Any, v: Any) -> Any:
    """e^v within 3 ulp; below -87 it is 0, above 88 it stays at e^88.

    v = n ln 2 + r with |r| <= ln 2 / 2: a polynomial of degree 6 in r (Taylor's terms; the
    remainder r^7/7! is under 1.3e-7), times 2^n put together in the exponent bits.
    """
    (x,) = _floats(builder, v)
    tiny = builder.fcmp_ordered("<", x, _constant_floats(-87.0))
    x = builder.select(tiny, _constant_floats(-87.0), x)
    large = builder.fcmp_ordered(">", x, _constant_floats(88.0))
    x = builder.select(large, _constant_floats(88.0), x)
    shifted = builder.fadd(
        builder.fmul(x, _constant_floats(1.4426950408889634)), _constant_floats(12582912.0)
    )
    n = builder.fsub(shifted, _constant_floats(12582912.0))
    # ln 2 in two parts, the first with few bits, so that n times it is exact.
    r = _fma(builder, n, _constant_floats(-0.693359375), x)
    r = _fma(builder, n, _constant_floats(2.12194440e-4), r)
    y = _constant_floats(1 / 720)
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        y = _fma(builder, y, r, _constant_floats(coefficient))
    exponent = builder.sub(builder.bitcast(shifted, _INTS), _constant_ints(0x4B400000 - 127))
    power = builder.bitcast(builder.shl(exponent, _constant_ints(23)), _FLOATS)
    return builder.select(tiny, _constant_floats(0.0), builder.fmul(y, power))
