"""Arrays of codes and scales, packed by group: the kernels multiply by what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.kernels import linear, packing_groups
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import B4, B4F, B4MF, B8, WIDE, Layout
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.team import Team
from tests.kernels.layers import Activations
from tests.kernels.panels import multiply
from tests.kernels.test_linear import LEVELS, distance, normal
from tests.reference.linear import as_quantized
from tests.reference.linear import linear as product

CASES = [(B4, False), (B4F, False), (B4MF, True), (B4MF, False), (B8, False), (WIDE, True)]


@pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)
@pytest.mark.parametrize(("layout", "asymmetric"), CASES, ids=str)
def test_products_are_those_of_codes_scales_and_zero_points(
    compiler: KernelCompiler, team: Team, isa: Isa, layout: Layout, asymmetric: bool
) -> None:
    outputs, columns = 40, 160
    rng = np.random.default_rng(0)
    half = 1 << layout.code_bits - 1
    codes = rng.integers(-half, half, (outputs, columns)).astype(np.int8)
    scales = rng.uniform(0.01, 0.02, (outputs, columns // layout.group)).astype(np.float32)
    if layout.scale_bytes == 2:
        scales = scales.astype(np.float16).astype(np.float32)
    zeros = rng.integers(-half, half, scales.shape).astype(np.int8) if asymmetric else None
    size = layout.packed_bytes(outputs, columns)
    packed = allocate(size + 65536)
    for panel, target in enumerate(packed[:size].reshape(3, -1)):
        part = slice(16 * panel, 16 * panel + 16)
        packing_groups.pack_panel(
            layout, codes[part], scales[part], None if zeros is None else zeros[part], target
        )
    shift = 0 if zeros is None else zeros.repeat(layout.group, axis=1)
    weights = (codes.astype(np.float64) - shift) * scales.repeat(layout.group, axis=1)
    x = normal(13, columns)
    read = Activations(compiler, team, x)
    kernel = compiler.address(
        f"matmul {layout.name} {isa.label}", linear.make_matmul(isa, layout, tiles=False)
    )
    y = multiply(team, kernel, packed, (outputs, columns), read.quantized(32), 13)
    # Minima cancel against codes: their terms are some eight times the difference.
    assert distance(y, product(as_quantized(x, 32), weights)) < 2e-6
    read = Activations(compiler, team, x[:1])
    alone = multiply(team, kernel, packed, (outputs, columns), read.quantized(32), 1)
    np.testing.assert_array_equal(alone[0], y[0])
