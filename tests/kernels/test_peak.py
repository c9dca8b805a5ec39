"""The measurement that prefill is judged by."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse import hardware
from stillhouse.kernels import peak
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, detect
from stillhouse.kernels.team import Operation, Program, Team

HAS_BF16 = "avx512_bf16" in hardware.this_machine().isa_flags


@pytest.mark.parametrize("isa", [isa for isa in Isa if isa <= min(detect(), Isa.AVX512_VNNI)])
def test_no_int8_product_is_left_out(compiler: KernelCompiler, team: Team, isa: Isa) -> None:
    kernel = compiler.address(f"peak int8 {isa.label}", lambda: peak.make_products(isa, "int8"))
    sums = np.full((2, 12, 16), -1, np.int32)
    team.run(Program([Operation(kernel, (sums.ctypes.data, 1000))]))
    np.testing.assert_array_equal(sums, 4 * 1000)  # four products a lane and turn, of ones


@pytest.mark.skipif(not HAS_BF16, reason="this processor multiplies no bf16")
def test_no_bf16_product_is_left_out(compiler: KernelCompiler, team: Team) -> None:
    kernel = compiler.address("peak bf16", lambda: peak.make_products(Isa.AVX512_VNNI, "bf16"))
    sums = np.full((2, 12, 16), -1, np.float32)
    team.run(Program([Operation(kernel, (sums.ctypes.data, 1000))]))
    np.testing.assert_array_equal(sums, 2 * 1000)


def test_what_is_not_measured_is_none_and_never_a_guess() -> None:
    rate = peak.measure_operations_per_s(1, "bf16")
    assert (rate is None) == (not HAS_BF16 or detect() is Isa.AMX)
