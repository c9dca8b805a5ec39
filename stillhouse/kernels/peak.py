"""How many products of weights and activations this processor makes a second, from registers alone:
the limit that prefill and many users run into.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, Literal

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from stillhouse import hardware
from stillhouse.kernels import simd
from stillhouse.kernels.blocks import block_of, block_store
from stillhouse.kernels.codes import dot4
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, detect
from stillhouse.kernels.team import Operation, Program, Team

Numbers = Literal["int8", "bf16"]

# Twelve chains of products that do not wait for each other: enough for two a cycle at a latency of
# six, and few enough to stay in registers.
_CHAINS = 12
_TURNS = 200_000  # of the loop a pass: some milliseconds
_PASSES = 9
_PRODUCTS: dict[Numbers, int] = {"int8": 64, "bf16": 32}  # of one 512-bit operation


class _BFloat(ir.Type):
    """LLVM's bfloat, for which llvmlite has no class."""

    def _to_string(self) -> str:
        return "bfloat"


_INTS = ir.VectorType(ir.IntType(32), 16)
_FLOATS = ir.VectorType(ir.FloatType(), 16)
_BF16 = ir.VectorType(_BFloat(), 32)


def measure_operations_per_s(threads: int, numbers: Numbers) -> float | None:
    """Multiplications and additions, each counted, of ``threads`` threads: the median of nine
    passes. None where it is not known: for bf16 on processors without its dot product, and on those
    with matrix tiles, which are faster than the vector instructions used here.
    """
    isa = detect()
    has_bf16 = "avx512_bf16" in hardware.this_machine().isa_flags
    if isa is Isa.AMX or (numbers == "bf16" and not has_bf16):
        return None
    sums = np.zeros((threads, _CHAINS, 16), np.int32)
    kernel = KernelCompiler().address(f"peak {numbers}", lambda: make_products(isa, numbers))
    program = Program([Operation(kernel, (int(sums.ctypes.data), _TURNS))])
    team = Team(threads)
    try:
        times_s = []
        for _ in range(_PASSES + 1):
            start_s = time.perf_counter()
            team.run(program)
            times_s.append(time.perf_counter() - start_s)
    finally:
        team.close()
    products = threads * _TURNS * _CHAINS * _PRODUCTS[numbers]
    return 2 * products / statistics.median(times_s[1:])


def make_products(isa: Isa, numbers: Numbers) -> Any:
    """The kernel: each thread adds products of ones. Arguments: sums (threads, 12, 16) of int32 or
    float32, turns of the loop.
    """
    ISA, AS_BYTES, CHAINS = int(isa), int(numbers == "int8"), _CHAINS
    ONES = 0x01010101 if numbers == "int8" else 0x3F803F80  # the bytes, or two bf16

    def products(args: int, thread: int, threads: int) -> None:
        sums = block_of(CHAINS, simd.zeros())
        ones = simd.splat_i32(ONES)
        for _ in range(simd.load_i64(args + 8)):
            sums = _add_products(ISA, AS_BYTES, CHAINS, sums, ones)
        block_store(CHAINS, sums, simd.load_i64(args) + 64 * CHAINS * thread, 64, 0)

    return products


@intrinsic(prefer_literal=True)
def _add_products(typing: Any, isa: Any, as_bytes: Any, chains: Any, sums: Any, ones: Any) -> Any:
    """Each entry of the block ``sums`` plus its lanes' products of ones."""
    level, bytewise, count = isa.literal_value, as_bytes.literal_value, chains.literal_value

    def codegen(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        *_, block, one = values
        for chain in range(count):
            entry = builder.extract_value(block, chain)
            if bytewise:
                entry = dot4(builder, level, 7, entry, one, one)
            else:
                entry = _dot_bf16(builder, entry, one)
            block = builder.insert_value(block, entry, chain)
        return block

    return sums(isa, as_bytes, chains, sums, ones), codegen


def _dot_bf16(builder: Any, total: Any, x: Any) -> Any:
    function = simd.declare(
        builder, "llvm.x86.avx512bf16.dpbf16ps.512", _FLOATS, [_FLOATS, _BF16, _BF16]
    )
    x = builder.bitcast(x, _BF16)
    return builder.bitcast(builder.call(function, [builder.bitcast(total, _FLOATS), x, x]), _INTS)
