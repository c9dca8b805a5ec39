"""A team of threads that walk a program together.

A program is a table of operations: kernel address, argument address, and whether to wait for each
other behind it. All threads walk the whole table; each kernel takes its own share of the work. So
one launch does a whole step of the model, and the price of an operation is a spin at a counter
(about 0.3 µs), not a launch (10 µs and more). Between steps the threads spin for a while, then
sleep.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS, compile_cached
from stillhouse.kernels.memory import allocate_small

_I64 = ir.IntType(64)
_LINE = 64  # bytes: each shared word has a cache line of its own
_EPOCH, _PROGRAM, _LENGTH, _ARRIVED, _TARGET, _STATES = (_LINE * n for n in range(6))
_AWAKE, _ASLEEP = 0, 1
_SPINS_BEFORE_SLEEP = 200_000  # some 5 ms
_SPINS_BEFORE_YIELD = 400  # some 10 µs: waits are shorter, unless a thread has lost its core


@intrinsic
def _call(typing: Any, function: Any, args: Any, thread: Any, threads: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        # numba's C callbacks of this signature: void (int64, int64, int64).
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 3)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), list(values[1:]))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def _atomic_add(typing: Any, address: Any, amount: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.atomic_rmw(
            "add", simd.pointer(builder, values[0], _I64), values[1], "seq_cst"
        )

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _atomic_load(typing: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.load_atomic(simd.pointer(builder, values[0], _I64), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def _atomic_store(typing: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        builder.store_atomic(values[1], simd.pointer(builder, values[0], _I64), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _relax(typing: Any) -> Any:
    """Tell the processor that this is a spin: x86 ``pause``, Arm ``yield``."""

    def codegen(context: Any, builder: Any, _signature: Any, _values: Any) -> Any:
        triple = str(builder.module.triple)
        if triple.startswith(("x86_64", "i386", "i686")):
            builder.call(simd.declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif triple.startswith(("aarch64", "arm64")):
            hint = simd.declare(builder, "llvm.aarch64.hint", ir.VoidType(), [ir.IntType(32)])
            builder.call(hint, [ir.Constant(ir.IntType(32), 1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _yield(typing: Any) -> Any:
    """Let another thread have this core: the one waited for may have lost its own. Nothing on
    Windows.
    """

    def codegen(context: Any, builder: Any, _signature: Any, _values: Any) -> Any:
        if "windows" not in str(builder.module.triple):
            builder.call(simd.declare(builder, "sched_yield", ir.IntType(32), []), [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit(inline="always", **NJIT_OPTIONS)
def share(total: int, thread: int, threads: int) -> tuple[int, int]:
    """Thread ``thread``'s part of range(total): first and one past the last."""
    return total * thread // threads, total * (thread + 1) // threads


@njit(inline="always", **NJIT_OPTIONS)
def claims_of(total: int, threads: int) -> tuple[int, int]:
    """How much of range(total) to share out beforehand, and in what steps to claim the rest.

    Long runs suit the memory, and the quarter left over evens out what threads lose to others.
    """
    return total * 3 // 4, max(1, total // (16 * threads))


@njit(inline="always", **NJIT_OPTIONS)
def claim(args: int, begin: int, end: int, step: int) -> tuple[int, int]:
    """The next ``step`` of range(begin, end) that no thread has claimed in this operation.

    First and one past the last; empty when all is claimed. ``args`` is the kernel's own argument.
    """
    first = begin + step * _atomic_add(args - _LINE, 1)
    return min(first, end), min(first + step, end)


@njit(**NJIT_OPTIONS)
def _walk(control: int, thread: int, threads: int) -> None:
    program, length = simd.load_i64(control + _PROGRAM), simd.load_i64(control + _LENGTH)
    target = simd.load_i64(control + _TARGET)
    done = 0
    for index in range(length):
        row = program + 24 * index
        _call(simd.load_i64(row), simd.load_i64(row + 8), thread, threads)
        if simd.load_i64(row + 16) != 0:
            target += threads
            _atomic_add(control + _ARRIVED, 1)
            spun = 0
            while _atomic_load(control + _ARRIVED) < target:
                _relax()
                spun += 1
                if spun % _SPINS_BEFORE_YIELD == 0:
                    _yield()
            # Everybody is past these operations: their claims can start anew for the next step.
            while thread == 0 and done <= index:
                simd.store_i64(simd.load_i64(program + 24 * done + 8) - _LINE, 0)
                done += 1


@njit(**NJIT_OPTIONS)
def _publish_epoch(control: int, threads: int) -> int:
    """Start the next epoch; returns the sleeping threads as a mask of bits (the first 63)."""
    _atomic_add(control + _EPOCH, 1)
    asleep = 0
    for thread in range(1, threads):
        if _atomic_load(control + _STATES + _LINE * thread) == _ASLEEP:
            asleep |= 1 << min(thread, 62)
    return asleep


@njit(**NJIT_OPTIONS)
def _follow(control: int, thread: int, threads: int, seen: int, spins: int) -> int:
    """Walk every program that comes; return the epoch last walked when none came for a while, -1 to
    end.
    """
    state = control + _STATES + _LINE * thread
    while True:
        spun = 0
        while _atomic_load(control + _EPOCH) == seen:
            _relax()
            spun += 1
            if spun >= spins:
                # Say so first, look again after: whoever publishes looks in the other order.
                _atomic_store(state, _ASLEEP)
                if _atomic_load(control + _EPOCH) == seen:
                    return seen
                _atomic_store(state, _AWAKE)
        seen += 1
        if simd.load_i64(control + _LENGTH) < 0:
            return -1
        _walk(control, thread, threads)


@dataclass(frozen=True, slots=True)
class Operation:
    """One kernel call: ``arguments`` are int64 values (addresses, counts) laid out one after the
    other.
    """

    kernel: int
    arguments: Sequence[int]
    wait: bool = True


class Program:
    """A table of operations at fixed addresses; what changes from step to step stands in memory
    they name.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        # Before each operation's arguments, a cache line of its own for what has been claimed.
        self._arguments = [_with_claims(op.arguments) for op in operations]
        waits = [op.wait for op in operations]
        waits[-1:] = [True]  # when a program returns, all of it is done
        self.table: npt.NDArray[np.int64] = np.array(
            [
                (op.kernel, arguments.ctypes.data + _LINE, wait)
                for op, arguments, wait in zip(operations, self._arguments, waits, strict=True)
            ],
            np.int64,
        ).reshape(-1, 3)
        self.num_waits = sum(waits)


def _with_claims(arguments: Sequence[int]) -> npt.NDArray[np.int64]:
    memory = allocate_small(_LINE + 8 * len(arguments)).view(np.int64)
    memory[_LINE // 8 :] = arguments
    return memory


class Team:
    """``threads`` threads, the caller being the first. Not for use from two threads at once."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._memory = allocate_small(_STATES + _LINE * (threads + 1))
        self._words = self._memory.view(np.int64)
        self._control = int(self._memory.ctypes.data)
        self._wake = [threading.Event() for _ in range(threads)]
        for function, arity in ((_publish_epoch, 2), (_walk, 3), (_follow, 5)):
            compile_cached(function, *[types.int64] * arity)
        self._workers = [
            threading.Thread(target=self._work, args=(n,), name=f"still-{n}", daemon=True)
            for n in range(1, threads)
        ]
        for worker in self._workers:
            worker.start()

    def run(self, program: Program) -> None:
        """Walk the program and return when all of it is done."""
        self._start(int(program.table.ctypes.data), len(program.table))
        _walk(self._control, 0, self.threads)
        self._words[_TARGET // 8] += program.num_waits * self.threads

    def close(self) -> None:
        """End the worker threads."""
        if self._workers:
            self._start(0, -1)
            for worker in self._workers:
                worker.join()
            self._workers = []

    def _start(self, table: int, length: int) -> None:
        self._words[_PROGRAM // 8] = table
        self._words[_LENGTH // 8] = length
        asleep = _publish_epoch(self._control, self.threads)
        for thread in range(1, self.threads):
            if asleep >> min(thread, 62) & 1:
                self._wake[thread].set()

    def _work(self, thread: int) -> None:
        seen = 0
        state = (_STATES + _LINE * thread) // 8
        while True:
            seen = _follow(self._control, thread, self.threads, seen, _SPINS_BEFORE_SLEEP)
            if seen < 0:
                return
            self._wake[thread].wait()
            self._wake[thread].clear()
            self._words[state] = _AWAKE
