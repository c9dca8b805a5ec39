"""Smoothing changes who has the large numbers, and not what is computed."""

from __future__ import annotations

import numpy as np

from stillhouse.encodings.plain import round_to
from stillhouse.quantize.smoothquant import best_factors, divided, smoothing_factors

RNG = np.random.default_rng(0)


def test_factors_are_those_of_the_formula() -> None:
    ranges = np.array([8.0, 2.0], np.float32)
    matrices = [
        np.array([[0.5, -1.0], [0.25, 0.5]], np.float32),
        np.array([[-2.0, 0.0]], np.float32),
    ]
    expected = [8**0.8 / 4**0.2, 2**0.8 / 2**0.2]
    np.testing.assert_allclose(smoothing_factors(ranges, matrices, 0.8), expected, rtol=1e-6)


def test_the_product_is_what_it_was() -> None:
    norm = RNG.normal(1, 0.2, 64).astype(np.float32)
    weights = RNG.normal(0, 1, (32, 64)).astype(np.float32)
    x = RNG.normal(0, 1, (10, 64)).astype(np.float32)
    factors = smoothing_factors(np.ptp(x, axis=0), [weights], 0.8)
    smaller, real = divided(norm, factors)
    np.testing.assert_array_equal(round_to("BF16", smaller), smaller)
    np.testing.assert_allclose(real, factors, rtol=2**-7)
    expected = (x * norm) @ weights.T
    np.testing.assert_allclose((x * smaller) @ (weights * real).T, expected, rtol=1e-4, atol=1e-4)


def test_a_zero_stays_and_divides_nothing() -> None:
    smaller, real = divided(np.array([0.0, 3.0], np.float32), np.array([5.0, 2.0], np.float32))
    np.testing.assert_array_equal(smaller, [0, 1.5])
    np.testing.assert_array_equal(real, [1, 2])


def test_the_strength_is_the_one_that_changes_the_output_least() -> None:
    x = RNG.normal(0, 1, (200, 64)).astype(np.float32)
    weights = RNG.normal(0, 1, (32, 64)).astype(np.float32)
    even = best_factors(np.ptp(x, axis=0), x, [weights], [0.99], 8)
    np.testing.assert_array_equal(even, np.ones(64))  # nothing to gain
    x[:, 5] *= 100
    ranges = np.ptp(x, axis=0)
    chosen = best_factors(ranges, x, [weights], [0.0, 0.5], 8)
    np.testing.assert_array_equal(chosen, smoothing_factors(ranges, [weights], 0.5))
