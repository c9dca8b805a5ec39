"""SmoothQuant: activations made easier to round, and the weights behind them harder, by the same
factors (arXiv:2211.10438). The float model computes what it did.

Source of the formula: llm-compressor, modifiers/smoothquant (its range of a column is the largest
minus the smallest number, and of the weights twice the largest size).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillhouse.encodings.plain import round_to
from stillhouse.quantize.scales import Floats, nearest

_SMALLEST = np.float32(1e-5)  # of a range: a column that is never used has a factor all the same


def smoothing_factors(ranges: Floats, matrices: Sequence[Floats], strength: float) -> Floats:
    """What each column of the activations is divided by: float32 (columns,).

    ``ranges``: largest minus smallest of each column; ``matrices``: (rows, columns), all that read
    it. 0 leaves the activations as they are, 1 makes all columns alike.
    """
    sizes = np.max([np.abs(matrix).max(axis=0) for matrix in matrices], axis=0)
    ranges = np.maximum(ranges, _SMALLEST)
    spans = np.maximum(2 * sizes, _SMALLEST)
    factors: Floats = (ranges**strength / spans ** (1 - strength)).astype(np.float32)
    return factors


def best_factors(
    ranges: Floats, rows: Floats, matrices: Sequence[Floats], strengths: Sequence[float], bits: int
) -> Floats:
    """The factors, by one of the strengths or 1, with which rounding changes the output least.

    ``rows``: float32 (n, columns), activations as they come. Tried with activations of a scale a
    row and weights rounded to nearest; the changes of all ``matrices`` count as shares of each
    one's output.
    """
    outputs = [rows @ matrix.T for matrix in matrices]
    tried = [np.ones_like(ranges)]
    tried += [smoothing_factors(ranges, matrices, strength) for strength in strengths]
    losses = []
    for factors in tried:
        smoothed = nearest(rows / factors, 8, 0).values()
        loss = 0.0
        for matrix, output in zip(matrices, outputs, strict=True):
            change = smoothed @ nearest(matrix * factors, bits, 0).values().T - output
            loss += float(np.square(change).sum() / np.square(output).sum())
        losses.append(loss)
    return tried[int(np.argmin(losses))]


def divided(values: Floats, factors: Floats) -> tuple[Floats, Floats]:
    """``values`` / ``factors`` as BF16, and the factors by which they then really were divided.

    What comes before the activations (the weights of a norm, a row's scale) is a BF16 in the file;
    so the factors give way, and the product stays what it was.
    """
    result = round_to("BF16", values / factors)
    usable = (result != 0) & (values != 0)
    real = np.where(usable, values / np.where(usable, result, 1), 1).astype(np.float32)
    return np.where(usable, result, values), real
