"""How fast this machine reads memory: the limit that decoding one token at a time runs into."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Prefetch, prefetch
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Operation, Program, Team, share

BUFFER_BYTES = 512 << 20  # far larger than a share of any last-level cache
_PASSES = 9
_STEP = 256


def make_read(ahead: Prefetch) -> Any:
    """Reads a buffer, each thread its part. Arguments: buffer, steps of 256 bytes, sums."""
    NEAR, FAR, STEP = ahead.into_l1, ahead.into_l2, _STEP

    def read(args: int, thread: int, threads: int) -> None:
        buffer, steps = simd.load_i64(args), simd.load_i64(args + 8)
        first, last = share(steps, thread, threads)
        a, b, c, d = simd.zeros(), simd.zeros(), simd.zeros(), simd.zeros()
        for step in range(first, last):
            at = buffer + step * STEP
            for line in range(4):
                if NEAR > 0:
                    simd.prefetch_l1(at + NEAR + 64 * line)
                if FAR > 0:
                    simd.prefetch_l2(at + FAR + 64 * line)
            a = simd.add_i32(a, simd.load(at))
            b = simd.add_i32(b, simd.load(at + 64))
            c = simd.add_i32(c, simd.load(at + 128))
            d = simd.add_i32(d, simd.load(at + 192))
        # Stored, so that no compiler may leave the reads out.
        total = simd.add_i32(simd.add_i32(a, b), simd.add_i32(c, d))
        simd.store(simd.load_i64(args + 16) + 64 * thread, total)

    return read


def measure_read_bytes_per_s(threads: int, buffer_bytes: int = BUFFER_BYTES) -> float:
    """Sustained reading by ``threads`` threads from huge pages: the median of nine passes."""
    buffer = allocate(buffer_bytes)
    buffer[:] = 1  # a page that was never written is read from one shared page of zeros
    return read_bytes_per_s(buffer, threads)


def read_bytes_per_s(buffer: npt.NDArray[np.uint8], threads: int) -> float:
    """The same from memory that is there already, uint8 and larger than any cache."""
    buffer_bytes = len(buffer)
    sums = np.zeros(16 * threads, np.int32)
    kernel = KernelCompiler().address("read", lambda: make_read(prefetch(code_bits=8)))
    arguments = (int(buffer.ctypes.data), buffer_bytes // _STEP, int(sums.ctypes.data))
    program = Program([Operation(kernel, arguments)])
    team = Team(threads)
    try:
        times_s = []
        for _ in range(_PASSES + 1):
            start_s = time.perf_counter()
            team.run(program)
            times_s.append(time.perf_counter() - start_s)
    finally:
        team.close()
    return buffer_bytes / statistics.median(times_s[1:])
