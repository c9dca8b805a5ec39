"""GPTQ against the loop of its paper, and its steps against what they promise."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.quantize.gptq import (
    bettered_codes,
    dampened,
    fitted_scales,
    gptq,
    output_error,
    sequential_codes,
)
from stillhouse.quantize.scales import RoundedMatrix, best_scales, largest_scales, nearest

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def problem(rows: int, columns: int, seed: int = 0) -> tuple[Floats, Doubles]:
    """Weights, and X^T X of inputs whose columns differ in size and depend on one another."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(0, 1, (columns, columns)) * rng.uniform(0.1, 2, columns)
    x = rng.normal(0, 1, (3 * columns, columns)) @ mixing
    return rng.normal(0, 0.05, (rows, columns)).astype(np.float32), x.T @ x


def by_the_paper(weights: Floats, hessian: Doubles, scales: Floats, bits: int) -> Doubles:
    """Algorithm 1 of arXiv:2210.17323, without blocks: each column's error goes to all behind it by
    the Cholesky factor of the inverse.
    """
    order = np.argsort(-hessian.diagonal(), kind="stable")
    group = weights.shape[1] // scales.shape[1]
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    left = weights[:, order].astype(np.float64)
    codes = np.zeros_like(left)
    for k, column in enumerate(order):
        scale = scales[:, column // group]
        codes[:, column] = np.clip(
            np.rint(left[:, k] / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        )
        error = (left[:, k] - codes[:, column] * scale) / upper[k, k]
        left[:, k:] -= np.outer(error, upper[k, k:])
    return codes


@pytest.mark.parametrize(("bits", "groups"), [(4, 5), (8, 1)])
def test_codes_are_those_of_the_papers_loop(bits: int, groups: int) -> None:
    weights, hessian = problem(16, 160)
    damped = dampened(hessian, 0.01)
    scales = largest_scales(weights, bits, groups)
    expected = by_the_paper(weights, damped, scales, bits)
    found = sequential_codes(weights, damped, scales, bits)
    # The order of float32 sums may turn a number that lies between two codes, and so those behind.
    assert (found != expected).mean() < 0.02


def test_dampening_leaves_no_dead_column() -> None:
    hessian = np.diag([4.0, 0.0, 1.0])
    np.testing.assert_allclose(dampened(hessian, 0.1).diagonal(), [4.2, 1.2, 1.2])


def test_a_dead_column_has_code_0() -> None:
    weights, hessian = problem(4, 64)
    hessian[:, 3] = hessian[3] = 0
    assert not gptq(weights, hessian, 4, 32, dampening=0.01).codes[:, 3].any()


def test_scales_are_the_best_for_their_codes() -> None:
    weights, hessian = problem(6, 64)
    scales = largest_scales(weights, 4, 2)
    codes = sequential_codes(weights, hessian, scales, 4)
    fitted = fitted_scales(weights, hessian.astype(np.float32), codes, scales)
    least = output_error(weights, RoundedMatrix(codes, fitted).values(), hessian)
    assert least < output_error(weights, RoundedMatrix(codes, scales).values(), hessian)
    for row, group, factor in product(range(6), range(2), (0.97, 1.03)):
        other = fitted.copy()
        other[row, group] *= factor
        assert output_error(weights, RoundedMatrix(codes, other).values(), hessian) > least


def test_choosing_codes_anew_never_makes_the_output_worse() -> None:
    weights, hessian = problem(8, 256)
    scales = best_scales(weights, hessian.diagonal().astype(np.float32), 4, 4)
    codes = sequential_codes(weights, hessian, scales, 4)
    errors = []
    for _ in range(3):
        errors.append(output_error(weights, RoundedMatrix(codes, scales).values(), hessian))
        codes = bettered_codes(weights, hessian.astype(np.float32), codes, scales, 4)
    assert errors[0] > errors[1] >= errors[2]


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (8, 0)])
def test_gptq_loses_far_less_of_the_output_than_rounding_to_nearest(bits: int, group: int) -> None:
    weights, hessian = problem(32, 128)
    found = gptq(weights, hessian, bits, group, dampening=0.01)
    plain = nearest(weights, bits, group)
    assert output_error(weights, found.values(), hessian) < 0.5 * output_error(
        weights, plain.values(), hessian
    )


def test_the_search_for_scales_never_loses_to_the_largest_number() -> None:
    weights, hessian = problem(16, 128)
    importance = hessian.diagonal().astype(np.float32)

    def loss(scales: Floats) -> Doubles:
        codes = np.clip(np.rint(weights.reshape(16, 4, 32) / scales[:, :, None]), -8, 7)
        errors = codes * scales[:, :, None] - weights.reshape(16, 4, 32)
        return np.asarray((errors**2 * importance.reshape(4, 32)).sum(axis=2))

    best = loss(best_scales(weights, importance, 4, 4))
    assert (best <= loss(largest_scales(weights, 4, 4)) * 1.001).all()
    assert best.sum() < 0.95 * loss(largest_scales(weights, 4, 4)).sum()
