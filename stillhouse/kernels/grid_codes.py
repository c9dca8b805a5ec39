"""Points of grids (see grids.py) looked up: levels by index, then codes by level and sign.

With AVX-512 VBMI, 64 indices at a time: a byte with the levels of four columns (two for IQ3) comes
from two or more registers by byte permutations, and each column's code from one more, which looks
at the column's bits of that byte and at its sign. Elsewhere a point is one load from a table in the
L1 cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils

from stillhouse.kernels.grids import GRID_OFFSET, Grid
from stillhouse.kernels.simd import declare, load_as, splat, store_as

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_BYTES, _INTS = ir.VectorType(_I8, 64), ir.VectorType(_I32, 16)
_MASK = ir.VectorType(ir.IntType(1), 64)


def _at(builder: Any, address: Any, offset: int) -> Any:
    return builder.add(address, ir.Constant(_I64, offset)) if offset else address


# ---- with byte permutations ----


class _Place(NamedTuple):
    """Where one of four columns has its level: in which table, in which bits, once the byte found
    is shifted right. Its sign is bit ``column`` of another byte, put over the same bit of this one.
    """

    table: int
    bits: tuple[int, ...]
    shift: int = 0


# A permutation looks at six bits, so levels lie where neither another's bits nor the sign are.
_THREE_LEVELS = (_Place(0, (2, 3)), _Place(0, (4, 5)), _Place(0, (0, 1)), _Place(0, (0, 1), 6))
_EIGHT_LEVELS = (
    _Place(0, (3, 4, 5)),
    _Place(1, (2, 3, 4)),
    _Place(1, (0, 1, 5)),
    _Place(0, (0, 1, 2)),
)


def permutation_tables(builder: Any, grid: Grid) -> list[Any]:
    """What ``permuted_codes`` permutes, in registers: the levels of each group of four columns,
    then the codes of their four places.

    Loaded from an address that LLVM cannot see through: it would load constants anew in each chunk,
    where loads are what there is least of.
    """
    levels, numbers = np.unique(grid.points(), return_inverse=True)
    numbers = numbers.reshape(-1, grid.columns)
    places = _THREE_LEVELS if len(levels) == 3 else _EIGHT_LEVELS
    parts = [
        table
        for first in range(0, grid.columns, 4)
        for table in _level_tables(numbers[:, first : first + 4], places)
    ]
    parts += [np.array(_codes_of(levels, place, column)) for column, place in enumerate(places)]
    values = np.concatenate(parts).astype(np.uint8)
    name = f"permuted.{grid.index_bits}.{grid.columns}"
    address = _constant(builder, name, values)
    hidden = builder.asm(ir.FunctionType(_I64, [_I64]), "", "=r,0", [address], side_effect=False)
    return [load_as(builder, _at(builder, hidden, at), _INTS) for at in range(0, len(values), 64)]


def num_permutation_tables(grid: Grid) -> int:
    """Two tables of 2 ** index_bits bytes, for one group of four columns or two, and four of 64."""
    return 2 * (1 << grid.index_bits) // 64 + 4


def permuted_codes(
    builder: Any, grid: Grid, tables: list[Any], chunk: Any, vector: int
) -> list[Any]:
    """Codes (see GRID_OFFSET) of the points of one vector of indices: for each column a vector of
    64 bytes, a byte an index.
    """
    tables = [builder.bitcast(table, _BYTES) for table in tables]
    level_tables, code_tables = tables[:-4], tables[-4:]
    places = _THREE_LEVELS if grid.columns == 8 else _EIGHT_LEVELS
    indices = load_as(builder, _at(builder, chunk, 64 * vector), _BYTES)
    is_set = [builder.icmp_signed("<", indices, ir.Constant(_BYTES, None))] + [
        builder.bitcast(
            load_as(builder, _at(builder, chunk, grid.high_bit_at(vector, bit)), _I64), _MASK
        )
        for bit in range(grid.high_bits)
    ]
    all_signs = load_as(builder, _at(builder, chunk, grid.signs_at), _INTS)
    permute = declare(builder, "llvm.x86.avx512.permvar.qi.512", _BYTES, [_BYTES] * 2)
    registers = (1 << grid.index_bits) // 64
    codes = []
    for first in range(0, grid.columns, 4):
        signs = _shifted_right(builder, all_signs, 4 * vector + first)
        found = []
        for _ in range(1 + max(place.table for place in places)):
            found.append(_look_up(builder, level_tables[:registers], indices, is_set))
            level_tables = level_tables[registers:]
        for column, (place, table) in enumerate(zip(places, code_tables, strict=True)):
            byte = _shifted_right(builder, found[place.table], place.shift)
            number = _merged(builder, signs, byte, 1 << column)
            codes.append(builder.call(permute, [table, number]))
    return codes


def _merged(builder: Any, first: Any, second: Any, mask: int) -> Any:
    """Each byte's bits of ``mask`` from ``first``, the others from ``second``, in one
    instruction.
    """
    ternary = declare(builder, "llvm.x86.avx512.pternlog.d.512", _INTS, [_INTS, _INTS, _INTS, _I32])
    masks = ir.Constant(_INTS, [mask * 0x01010101] * 16)
    first, second = (builder.bitcast(value, _INTS) for value in (first, second))
    # The truth table of "mask ? first : second" for bits (mask, first, second).
    chosen = builder.call(ternary, [masks, first, second, ir.Constant(_I32, 0xCA)])
    return builder.bitcast(chosen, _BYTES)


def _level_tables(
    numbers: npt.NDArray[np.int64], places: tuple[_Place, ...]
) -> list[npt.NDArray[np.int64]]:
    """A byte a point and table: the levels' numbers (points, 4) with each bit in its place."""
    tables = [np.zeros(len(numbers), np.int64) for _ in range(1 + max(p.table for p in places))]
    for column, place in enumerate(places):
        for n, bit in enumerate(place.bits):
            tables[place.table] |= (numbers[:, column] >> n & 1) << (bit + place.shift)
    return tables


def _codes_of(levels: npt.NDArray[np.int8], place: _Place, sign_bit: int) -> list[int]:
    """GRID_OFFSET +- magnitude for the 64 bytes that a permutation tells apart."""
    byte = np.arange(64)
    number = sum((byte >> bit & 1) << n for n, bit in enumerate(place.bits))
    magnitudes = levels[np.minimum(number, len(levels) - 1)].astype(int)
    codes: list[int] = (GRID_OFFSET + (1 - 2 * (byte >> sign_bit & 1)) * magnitudes).tolist()
    return codes


def _look_up(builder: Any, table: list[Any], indices: Any, is_set: list[Any]) -> Any:
    """table[index]: 128 bytes a permutation; ``is_set``: an index's bits from the eighth on."""
    permute = declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", _BYTES, [_BYTES] * 3)
    found = [
        builder.call(permute, [low, indices, high])
        for low, high in zip(table[0::2], table[1::2], strict=True)
    ]
    for bit in is_set:
        found = [
            builder.select(bit, odd, even)
            for even, odd in zip(found[0::2], found[1::2], strict=True)
        ]
    return found[0]


def _shifted_right(builder: Any, value: Any, by: int) -> Any:
    """Bytes shifted; what comes in from a byte's neighbour is above its low 8 - ``by`` bits."""
    if by:
        lanes = builder.bitcast(value, _INTS)
        value = builder.lshr(lanes, ir.Constant(_INTS, [by] * 16))
    return builder.bitcast(value, _BYTES)


def permuted_steps(builder: Any, grid: Grid, tables: list[Any], chunk: Any) -> list[Any]:
    """Codes of a chunk's eight steps: a byte a column (see codes.py)."""
    turned = [
        _as_steps(builder, by_column[first : first + 4])
        for vector in range(grid.vectors)
        for by_column in [permuted_codes(builder, grid, tables, chunk, vector)]
        for first in range(0, grid.columns, 4)
    ]
    if grid.vectors == 1:
        return [step for pair in zip(*turned, strict=True) for step in pair]
    return [step for four in turned for step in four]


def dot_permuted(
    builder: Any, grid: Grid, dot4: Callable[[Any, Any, Any], Any], tables: list[Any],
    totals: list[list[Any]], chunk: Any, rows: list[Any],
) -> list[list[Any]]:  # fmt: skip
    """totals + codes · x with no byte of the codes moved (see ``codes.dot_chunk``): it is x that is
    put into their order, four points' same column side by side.
    """
    order = [
        grid.columns * (4 * vector + byte) + column
        for vector in range(grid.vectors)
        for column in range(grid.columns)
        for byte in range(4)
    ]
    half = ir.VectorType(_I8, 32)
    rooms: list[list[Any]] = [[] for _ in totals]
    for row in rows:
        x = load_as(builder, row, half)
        x = builder.shuffle_vector(x, x, ir.Constant(ir.VectorType(_I32, 32), order))
        for part, in_part in enumerate(rooms):
            own = x
            if len(totals) == 2:
                # Two groups share the lanes: each sees zeros where the other's x stand.
                mask = [-(byte % 4 // 2 == part) for byte in range(32)]
                own = builder.and_(x, ir.Constant(half, mask))
            in_part.append(_kept_in_memory(builder, own))
    sums = [list(of_rows) for of_rows in totals]
    for vector in range(grid.vectors):
        for column, codes in enumerate(permuted_codes(builder, grid, tables, chunk, vector)):
            for part, in_part in enumerate(rooms):
                for row, room in enumerate(in_part):
                    at = _at(builder, room, 4 * (vector * grid.columns + column))
                    x4 = splat(builder, load_as(builder, at, _I32), _INTS)
                    sums[part][row] = dot4(sums[part][row], builder.bitcast(codes, _INTS), x4)
    return sums


def _kept_in_memory(builder: Any, value: Any) -> Any:
    """The address of a copy on the stack that LLVM may not replace by registers: loads that repeat
    a word in all lanes are free, shuffles that do are what this code has least of.
    """
    room = cgutils.alloca_once(builder, value.type)
    room.align = 64
    builder.store(value, room, align=32)
    keep = ir.FunctionType(ir.VoidType(), [room.type])
    builder.asm(keep, "", "r,~{memory}", [room], side_effect=True)
    return builder.ptrtoint(room, _I64)


def _as_steps(builder: Any, by_column: list[Any]) -> list[Any]:
    """Four vectors, a column each and a byte an index, as four of an index each and a byte a
    column: 4 x 4 bytes turned in each lane.
    """

    def merged(a: Any, b: Any, lane: list[int]) -> Any:
        """Bytes of each lane: 0 to 3 from a, 4 to 7 from b."""
        numbers = [4 * n + k if k < 4 else 60 + 4 * n + k for n in range(16) for k in lane]
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, 64), numbers))

    a, b, c, d = by_column
    low = merged(a, b, [0, 4, 1, 5]), merged(c, d, [0, 4, 1, 5])
    high = merged(a, b, [2, 6, 3, 7]), merged(c, d, [2, 6, 3, 7])
    return [
        builder.bitcast(merged(*pair, lane), _INTS)
        for pair in (low, high)
        for lane in ([0, 1, 4, 5], [2, 3, 6, 7])
    ]


# ---- with tables in memory ----


def loaded_codes(builder: Any, grid: Grid, chunk: Any, first: int, count: int) -> list[Any]:
    """Codes of steps ``first`` to first + count of a chunk: a byte a column (see codes.py)."""
    point, words = ir.IntType(8 * grid.columns), grid.columns // 4
    magnitudes = (grid.points().astype(np.int64) + GRID_OFFSET).astype(np.uint8)
    table = _constant(builder, f"grid.{grid.index_bits}.{grid.columns}", magnitudes)
    # Where a sign is set, 128 - code is (code ^ 127) + 1, as a code has seven bits.
    turns = np.unpackbits(np.arange(1 << grid.columns, dtype=np.uint8), bitorder="little") * 127
    turns = turns.reshape(-1, 8)[:, : grid.columns].astype(np.uint8)
    turned = _constant(builder, f"signs.{grid.columns}", turns)
    room = cgutils.alloca_once(builder, _I8, 64 * count)
    room = builder.ptrtoint(room, _I64)
    with cgutils.for_range(builder, ir.Constant(_I64, 16)) as loop:
        lane = builder.shl(loop.index, ir.Constant(_I64, 2))
        for number in range(first // words, (first + count) // words):
            index, sign = _index_and_signs(builder, grid, chunk, lane, number)
            codes, turn = (
                load_as(
                    builder,
                    builder.add(start, builder.mul(of, ir.Constant(_I64, grid.columns))),
                    point,
                )
                for start, of in ((table, index), (turned, sign))
            )
            ones = ir.Constant(point, int.from_bytes(bytes([1] * grid.columns), "little"))
            codes = builder.add(builder.xor(codes, turn), builder.and_(turn, ones))
            for word in range(words):
                part = builder.lshr(codes, ir.Constant(point, 32 * word))
                target = builder.add(_at(builder, room, 64 * (number * words + word - first)), lane)
                store_as(builder, target, builder.trunc(part, _I32) if words > 1 else part)
    return [load_as(builder, _at(builder, room, 64 * step), _INTS) for step in range(count)]


def _index_and_signs(
    builder: Any, grid: Grid, chunk: Any, lane: Any, number: int
) -> tuple[Any, Any]:
    """A row's index ``number`` and its points' signs; ``lane``: four times the row."""
    vector, byte = divmod(number, 4)
    at = builder.add(_at(builder, chunk, byte), lane)
    index = builder.zext(load_as(builder, _at(builder, at, 64 * vector), _I8), _I64)
    sign = builder.zext(load_as(builder, _at(builder, at, grid.signs_at), _I8), _I64)
    if grid.columns == 4:
        sign = builder.and_(
            builder.lshr(sign, ir.Constant(_I64, 4 * vector)), ir.Constant(_I64, 15)
        )
    for bit in range(grid.high_bits):
        word = load_as(builder, _at(builder, chunk, grid.high_bit_at(vector, bit)), _I64)
        place = builder.add(lane, ir.Constant(_I64, byte))
        high = builder.and_(builder.lshr(word, place), ir.Constant(_I64, 1))
        index = builder.or_(index, builder.shl(high, ir.Constant(_I64, 8 + bit)))
    return index, sign


def _constant(builder: Any, name: str, values: npt.NDArray[np.uint8]) -> Any:
    """The address of bytes among the module's constants."""
    table = builder.module.globals.get(name)
    if table is None:
        kind = ir.ArrayType(_I8, values.size)
        table = ir.GlobalVariable(builder.module, kind, name)
        table.linkage, table.global_constant, table.align = "internal", True, 64
        table.initializer = ir.Constant(kind, bytearray(values.tobytes()))
    return builder.ptrtoint(table, _I64)
