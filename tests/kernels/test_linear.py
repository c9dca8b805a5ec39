"""Linear layers of every layout and instruction set against the naive twin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.encodings import by_name
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, detect
from stillhouse.kernels.layouts import BY_ENCODING
from stillhouse.kernels.team import Team
from tests.kernels.layers import Activations, Layer
from tests.reference.linear import as_quantized, linear, round_to_bf16

# Levels whose kernels for many rows are integer dot products, as far as this processor goes.
LEVELS = [isa for isa in Isa if isa <= min(detect(environment={}), Isa.AVX512_VNNI)]
# One encoding for each layout, and three ways in to the widest: bytes, two bits, groups of 16.
ENCODINGS = [*BY_ENCODING, "Q8_1", "TQ2_0", "IQ1_M"]
# Compiling takes the time. Below AVX-512 these differ from others by a number of bits alone.
ALIKE = {"IQ4_NL", "IQ2_XXS", "IQ2_XS", "IQ3_XXS"}
KERNELS = [
    (encoding, isa)
    for encoding in ENCODINGS
    for isa in LEVELS
    if isa == Isa.AVX512_VNNI or encoding not in ALIKE
]
# Tiles in memory take long to compile; between them these have every way to store a scale.
HAS_TILES = detect(environment={}) >= Isa.AMX
TILED = ENCODINGS if HAS_TILES else ["Q4_K", "Q6_K", "Q5_1", "TQ2_0", "Q2_K", "IQ2_S"]
# Outputs, and columns in blocks: single and odd panels, and a last panel that is not full.
SHAPES = [(16, 1), (48, 2), (80, 3), (20, 5)]

on_every_level = pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)
with_every_kernel = pytest.mark.parametrize(
    ("encoding", "isa"), KERNELS, ids=[f"{encoding}-{isa.label}" for encoding, isa in KERNELS]
)


def normal(rows: int, columns: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def columns_of(encoding: str, blocks: int) -> int:
    return blocks * by_name(encoding).block_size


def distance(result: npt.NDArray[np.float32], twin: npt.NDArray[np.float64]) -> float:
    """|result - twin| / |twin|, Euclidean."""
    return float(np.linalg.norm(result - twin) / np.linalg.norm(twin))


@with_every_kernel
@pytest.mark.parametrize(("outputs", "blocks"), SHAPES)
def test_many_rows_equal_the_int8_twin(
    compiler: KernelCompiler, team: Team, encoding: str, isa: Isa, outputs: int, blocks: int
) -> None:
    layer = Layer(compiler, isa, encoding, outputs, columns_of(encoding, blocks))
    for rows in (1, 2, 5, 15):
        x = normal(rows, layer.columns, seed=rows)
        y = layer.multiply(team, Activations(compiler, team, x))
        twin = linear(as_quantized(x, layer.layout.span), layer.weights)
        assert distance(y, twin) < 1e-6
        # Rounding activations to int8 costs what it costs: a step is 1/127 of a span's largest.
        assert distance(y, linear(x, layer.weights)) < 0.015


@with_every_kernel
def test_a_row_has_the_same_bits_alone_among_others_and_with_any_number_of_threads(
    compiler: KernelCompiler, teams: dict[int, Team], encoding: str, isa: Isa
) -> None:
    layer = Layer(compiler, isa, encoding, 80, columns_of(encoding, 3))
    x = normal(15, layer.columns)
    together = layer.multiply(teams[1], Activations(compiler, teams[1], x))
    for team in teams.values():
        again = layer.multiply(team, Activations(compiler, team, x))
        np.testing.assert_array_equal(again, together)
        for row in (0, 7, 10, 14):  # in the blocks of eight, four and two rows, and the last alone
            alone = layer.multiply(team, Activations(compiler, team, x[row : row + 1]))
            np.testing.assert_array_equal(alone[0], together[row])


@with_every_kernel
def test_extreme_activations_stay_right(
    compiler: KernelCompiler, team: Team, encoding: str, isa: Isa
) -> None:
    layer = Layer(compiler, isa, encoding, 48, columns_of(encoding, 2))
    x = normal(6, layer.columns)
    x[0] = 0
    x[1] = 3e4  # every code 127: the largest dot products, and sums of codes, that there can be
    x[2] = -3e4
    x[3, 0::2], x[3, 1::2] = 3e4, -3e4
    x[4, 7] = 1e6  # an outlier leaves its neighbours few codes
    x[5] *= 1e-20
    y = layer.multiply(team, Activations(compiler, team, x))
    twin = linear(as_quantized(x, layer.layout.span), layer.weights)
    # Terms cancel here (x constant, weights around 0), so they are what errors are measured by.
    terms = linear(abs(as_quantized(x, layer.layout.span)), layer.terms)
    np.testing.assert_array_equal(y[0], 0)
    for row in range(1, 6):
        np.testing.assert_array_less(abs(y[row] - twin[row]), 1e-6 * terms[row])
        alone = layer.multiply(team, Activations(compiler, team, x[row : row + 1]))
        np.testing.assert_array_equal(alone[0], y[row])


@on_every_level
@pytest.mark.parametrize("encoding", ["Q4_K", "Q6_K", "Q5_1", "Q2_K"])
def test_a_result_may_be_added_to_what_is_there(
    compiler: KernelCompiler, team: Team, encoding: str, isa: Isa
) -> None:
    layer = Layer(compiler, isa, encoding, 48, columns_of(encoding, 2))
    x, before = normal(5, layer.columns), normal(5, 48, seed=1)
    a = Activations(compiler, team, x)
    expected = before + layer.multiply(team, a)
    np.testing.assert_array_equal(layer.multiply(team, a, onto=before), expected)
    one = Activations(compiler, team, x[:1])
    np.testing.assert_array_equal(layer.multiply(team, one, onto=before[:1]), expected[:1])


@pytest.mark.parametrize("encoding", TILED)
def test_tiles_multiply_bf16_by_bf16(
    compiler: KernelCompiler, teams: dict[int, Team], encoding: str
) -> None:
    columns = 2048 + 256  # more than the tiles take at once
    layer = Layer(compiler, Isa.AMX, encoding, 80, columns)
    for isa in (Isa.PORTABLE, Isa.AMX) if HAS_TILES else (Isa.PORTABLE,):
        for rows in (1, 33):
            x, before = normal(rows, columns), normal(rows, 80, seed=1)
            for team in (teams[1], teams[2]):
                a = Activations(compiler, team, x)
                y = layer.tiles(team, a, isa)
                twin = linear(round_to_bf16(x), round_to_bf16(layer.weights))
                assert distance(y, twin) < 1e-4
                assert distance(layer.tiles(team, a, isa, onto=before), before + twin) < 1e-4
