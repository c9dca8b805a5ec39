"""The SIMD vocabulary against numpy, through two small kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.team import Operation, Program, Team
from tests.kernels.layers import address
from tests.reference.linear import round_to_bf16

Floats = npt.NDArray[np.float32]


def make_float_operations() -> Any:
    """x, y: floats. Arguments: x, exp(x), rounded(x), bf16(x), low bytes, sum, max, vectors."""

    def kernel(args: int, thread: int, threads: int) -> None:
        x, powers, rounded = simd.load_i64(args), simd.load_i64(args + 8), simd.load_i64(args + 16)
        bf16, low = simd.load_i64(args + 24), simd.load_i64(args + 32)
        sums, largest = simd.load_i64(args + 40), simd.load_i64(args + 48)
        for n in range(thread, simd.load_i64(args + 56), threads):
            v = simd.load(x + 64 * n)
            simd.store(powers + 64 * n, simd.exp(v))
            whole = simd.round_to_i32(v)
            simd.store(rounded + 64 * n, whole)
            simd.store_as_bf16(bf16 + 32 * n, v)
            simd.store_low_bytes(low + 16 * n, whole)
            simd.store_f32(sums + 4 * n, simd.sum_lanes(v))
            simd.store_f32(largest + 4 * n, simd.max_lanes(v))

    return kernel


def make_conversions() -> Any:
    """16-bit words read as halves and as bf16. Arguments: words, halves, bf16s, vectors."""

    def kernel(args: int, thread: int, threads: int) -> None:
        words, halves = simd.load_i64(args), simd.load_i64(args + 8)
        bf16s = simd.load_i64(args + 16)
        for n in range(thread, simd.load_i64(args + 24), threads):
            simd.store(halves + 64 * n, simd.load_f16_as_f32(words + 32 * n))
            simd.store(bf16s + 64 * n, simd.load_bf16_as_f32(words + 32 * n))

    return kernel


class Results:
    """What the first kernel makes of floats, sixteen at a time."""

    def __init__(self, compiler: KernelCompiler, team: Team, x: npt.ArrayLike) -> None:
        self.x = np.resize(np.asarray(x, np.float32), (-(-np.size(x) // 16), 16))
        self.exp, self.rounded = np.zeros_like(self.x), np.zeros(self.x.shape, np.int32)
        self.bf16, self.low = np.zeros(self.x.shape, np.uint16), np.zeros(self.x.shape, np.int8)
        self.sum, self.max = np.zeros((2, len(self.x)), np.float32)
        outputs = (self.x, self.exp, self.rounded, self.bf16, self.low, self.sum, self.max)
        kernel = compiler.address("test float operations", make_float_operations)
        arguments = *map(address, outputs), len(self.x)
        team.run(Program([Operation(kernel, arguments)]))


def test_exp_is_within_three_ulp(compiler: KernelCompiler, team: Team) -> None:
    x = np.random.default_rng(0).uniform(-87, 88, 1 << 16)
    r = Results(compiler, team, np.concatenate([x, [0, -1e-8, 1e-8, -87, 88, 1, -0.0, 0.34657]]))
    exact = np.exp(r.x.astype(np.float64))
    assert (abs(r.exp - exact) / np.spacing(exact.astype(np.float32))).max() < 3
    assert (r.exp[r.x == 0] == 1).all()


def test_exp_ends_at_zero_and_at_e_to_the_88(compiler: KernelCompiler, team: Team) -> None:
    r = Results(compiler, team, [-87.01, -104, -1000, -1e30, 88, 88.5, 89.5, 104, 1e30] + [0] * 7)
    assert (r.exp[0, :4] == 0).all()
    np.testing.assert_allclose(r.exp[0, 4:9], np.exp(88), rtol=1e-6)


def test_rounding_sends_ties_to_the_even_neighbour(compiler: KernelCompiler, team: Team) -> None:
    ties = np.arange(-200, 200) + 0.5
    x = np.random.default_rng(0).uniform(-(2**22), 2**22, 4096)
    r = Results(compiler, team, np.concatenate([ties, x, [0.49999997, -0.49999997, 127.5]]))
    np.testing.assert_array_equal(r.rounded, np.rint(r.x))
    np.testing.assert_array_equal(r.low, np.rint(r.x).astype(np.int64).astype(np.int8))


def test_bf16_is_rounded_to_the_nearest_even(compiler: KernelCompiler, team: Team) -> None:
    bits = np.random.default_rng(0).integers(0, 0x7F000000, 8192).astype(np.uint32)
    ties = np.arange(0x3F800000, 0x3F800000 + (64 << 16), 0x8000, np.uint32)
    x = np.concatenate([bits, ties, ties + 1, ties - 1]).view(np.float32)
    r = Results(compiler, team, np.concatenate([x, -x]))
    kept = (r.bf16.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(kept, round_to_bf16(r.x))


def test_lanes_are_folded(compiler: KernelCompiler, team: Team) -> None:
    r = Results(compiler, team, np.random.default_rng(0).standard_normal(4096))
    np.testing.assert_allclose(r.sum, r.x.sum(axis=1, dtype=np.float64), rtol=0, atol=3e-6)
    np.testing.assert_array_equal(r.max, r.x.max(axis=1))


@pytest.fixture(scope="module")
def every_word(
    compiler: KernelCompiler, team: Team
) -> tuple[npt.NDArray[np.uint16], Floats, Floats]:
    words = np.arange(1 << 16, dtype=np.uint16)
    halves, bf16s = np.zeros((2, 1 << 16), np.float32)
    kernel = compiler.address("test conversions", make_conversions)
    arguments = address(words), address(halves), address(bf16s), 1 << 12
    team.run(Program([Operation(kernel, arguments)]))
    return words, halves, bf16s


def test_every_finite_half_is_exact(
    every_word: tuple[npt.NDArray[np.uint16], Floats, Floats],
) -> None:
    words, halves, _ = every_word
    expected = words.view(np.float16)
    finite = np.isfinite(expected)
    assert (abs(expected[finite]) < 2**-14).sum() > 2000  # subnormals are among them
    bits = expected.astype(np.float32)[finite].view(np.uint32)
    np.testing.assert_array_equal(halves[finite].view(np.uint32), bits)


def test_every_bf16_is_the_upper_half_of_a_float(
    every_word: tuple[npt.NDArray[np.uint16], Floats, Floats],
) -> None:
    words, _, bf16s = every_word
    np.testing.assert_array_equal(bf16s.view(np.uint32), words.astype(np.uint32) << 16)
