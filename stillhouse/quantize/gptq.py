"""GPTQ: codes that make a matrix's output right, not each of its numbers (arXiv:2210.17323).

With inputs X the error of a row is e H eᵀ, where e is what rounding changed in it and H = Xᵀ X.
Columns are rounded one after another, each to what also makes up for the errors before it. Written
as in arXiv:2507.18553: with H = R Rᵀ, R upper triangular, the error is the sum over columns k of
(e_k R_kk + sum over i < k of e_i R_ik)², and e_k is chosen when all before it are known. That is
the paper's step by the inverse's Cholesky factor, without an inverse.

Columns go in the order of falling H_kk ("activation order", static: groups of scales stay those of
neighbours, so files need no `g_idx`); dampening and dead columns as in llm-compressor's
`gptq_quantize.py`. Then come two steps of our own, neither of which can make e H eᵀ larger but for
the rounding of scales to BF16: scales are fitted to the codes, and codes chosen anew one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.quantize.scales import (
    Floats,
    RoundedMatrix,
    as_scales,
    best_scales,
    code_range,
)

Doubles = npt.NDArray[np.float64]
SmallCodes = npt.NDArray[np.int8]

_BLOCK = 128  # columns whose errors reach those behind them by one product


def gptq(
    weights: Floats,
    hessian: Doubles,
    bits: int,
    group_columns: int,
    *,
    dampening: float,
    sweeps: int = 2,
) -> RoundedMatrix:
    """Quantise float32 (rows, columns) for inputs whose Xᵀ X is ``hessian``, up to a factor.

    ``group_columns``: 0 for a scale a row. ``sweeps``: how often scales and codes are bettered.
    """
    columns = weights.shape[1]
    dead = hessian.diagonal() == 0
    weights = np.where(dead, np.float32(0), weights)
    damped = dampened(hessian, dampening)
    groups = columns // (group_columns or columns)
    importance = damped.diagonal().astype(np.float32)
    scales = best_scales(weights, importance / importance.max(), bits, groups)
    codes = sequential_codes(weights, damped, scales, bits)
    single = (damped / damped.diagonal().mean()).astype(np.float32)
    for _ in range(sweeps):
        scales = fitted_scales(weights, single, codes, scales)
        codes = bettered_codes(weights, single, codes, scales, bits)
    return RoundedMatrix(codes, scales)


def dampened(hessian: Doubles, dampening: float) -> Doubles:
    """With 1 for columns that are never used, and a share of the mean on all of the diagonal."""
    diagonal = hessian.diagonal().copy()
    diagonal[diagonal == 0] = 1
    result = hessian.copy()
    np.fill_diagonal(result, diagonal + dampening * diagonal.mean())
    return result


def sequential_codes(weights: Floats, hessian: Doubles, scales: Floats, bits: int) -> SmallCodes:
    """GPTQ proper, in the order of falling diagonal; ``hessian`` is positive definite."""
    rows, columns = weights.shape
    group = columns // scales.shape[1]
    lowest, highest = code_range(bits)
    order = np.argsort(-hessian.diagonal(), kind="stable")
    coupling = _coupling(hessian[np.ix_(order, order)])
    targets = np.ascontiguousarray(weights.T)[order]
    scale_of = np.ascontiguousarray(scales.T)
    errors = np.zeros((columns, rows), np.float32)
    codes = np.empty((columns, rows), np.int8)
    for first in range(0, columns, _BLOCK):
        last = min(first + _BLOCK, columns)
        block = targets[first:last] + coupling[:first, first:last].T @ errors[:first]
        for k in range(first, last):
            column, scale = order[k], scale_of[order[k] // group]
            wanted = block[k - first] + coupling[first:k, k] @ errors[first:k]
            chosen = np.clip(np.rint(wanted / scale), lowest, highest)
            codes[column] = chosen
            errors[k] = targets[k] - chosen * scale
    return np.ascontiguousarray(codes.T)


def fitted_scales(weights: Floats, hessian: Floats, codes: SmallCodes, scales: Floats) -> Floats:
    """The scales with the smallest e H eᵀ for these codes: for each row a least-squares problem.

    With q_g the row's codes of group g and 0 elsewhere: sum over h of (q_g H q_hᵀ) s_h = q_g H wᵀ.
    """
    rows, groups = scales.shape
    width = weights.shape[1] // groups
    numbers = codes.astype(np.float32)
    right = ((weights @ hessian) * numbers).reshape(rows, groups, width).sum(axis=2)
    left = np.empty((rows, groups, groups), np.float32)
    for g in range(groups):
        part = slice(g * width, (g + 1) * width)
        product = numbers[:, part] @ hessian[part]
        left[:, g] = (product * numbers).reshape(rows, groups, width).sum(axis=2)
    matrix = left.astype(np.float64)
    # A group whose codes are all 0 has nothing to fit: its scale stays.
    size = np.einsum("rgg->rg", matrix)
    empty = size == 0
    size[...] = np.where(empty, 1, size * (1 + 1e-6))
    target = np.where(empty, scales, right)
    return as_scales(np.linalg.solve(matrix, target[:, :, np.newaxis].astype(np.float64))[:, :, 0])


def bettered_codes(
    weights: Floats, hessian: Floats, codes: SmallCodes, scales: Floats, bits: int
) -> SmallCodes:
    """Each column once more to what is best while all others stay as they are."""
    columns = weights.shape[1]
    group = columns // scales.shape[1]
    lowest, highest = code_range(bits)
    targets, scale_of = np.ascontiguousarray(weights.T), np.ascontiguousarray(scales.T)
    chosen = codes.T.astype(np.float32)
    errors = targets - chosen * np.repeat(scale_of, group, axis=0)
    for first in range(0, columns, _BLOCK):
        last = min(first + _BLOCK, columns)
        pulls = hessian[first:last] @ errors  # H eᵀ, kept up to date within the block
        for k in range(first, last):
            scale, curve = scale_of[k // group], hessian[k, k]
            wanted = targets[k] + pulls[k - first] / curve - errors[k]
            code = np.clip(np.rint(wanted / scale), lowest, highest)
            moved = (chosen[k] - code) * scale
            pulls += hessian[first:last, k : k + 1] * moved
            errors[k] += moved
            chosen[k] = code
    return np.ascontiguousarray(chosen.T.astype(np.int8))


def output_error(weights: Floats, rounded: Floats, hessian: npt.NDArray[np.floating[Any]]) -> float:
    """e H eᵀ of all rows, as a share of w H wᵀ."""
    errors = (weights - rounded).astype(np.float64)
    whole = weights.astype(np.float64)
    wrong = np.einsum("rc,rc->", errors @ hessian, errors)
    return float(wrong / np.einsum("rc,rc->", whole @ hessian, whole))


def _coupling(hessian: Doubles) -> Floats:
    """R_ik / R_kk of H = R Rᵀ, R upper triangular: Cholesky's factor with both axes reversed."""
    reversed_factor = np.linalg.cholesky(hessian[::-1, ::-1])
    factor = reversed_factor[::-1, ::-1]
    return np.ascontiguousarray((factor / factor.diagonal()).astype(np.float32))
