"""How far one model's predictions are from another's, token by token, from the logits of both.

Every value is in natural units (nats), as in llama.cpp's tools/perplexity. Exponentials are taken
in float32 and summed in float64: against float64 throughout, a divergence is off by about 1e-7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Divergences(NamedTuple):
    """Of n predictions, each (n,).

    Attributes:
        source_nll, nll: -log of the probability that the source, and the other, gave to the token
            that came.
        kl: sum of p * log(p / q) over the vocabulary, p being the source's.
        same_top: whether both think the same token likeliest.
    """

    source_nll: Doubles
    nll: Doubles
    kl: Doubles
    same_top: NDArray[np.bool_]

    @property
    def probability_differences(self) -> Doubles:
        """How much likelier the token that came is to the other model: q - p."""
        return np.asarray(np.exp(-self.nll) - np.exp(-self.source_nll))


def divergences(source: Logits, other: Logits, next_ids: NDArray[np.int32]) -> Divergences:
    """Compare (n, vocabulary) logits; ``next_ids`` (n,) are the tokens that came."""
    count = len(next_ids)
    result = Divergences(np.empty(count), np.empty(count), np.empty(count), np.empty(count, bool))
    for row, token in enumerate(next_ids):  # one by one, so that temporaries stay in the cache
        x, y = source[row], other[row]
        top, other_top = int(x.argmax()), int(y.argmax())
        weights = np.exp(x - x[top])
        total = weights.sum(dtype=np.float64)
        other_total = np.exp(y - y[other_top]).sum(dtype=np.float64)
        log_total = float(x[top]) + np.log(total)
        other_log_total = float(y[other_top]) + np.log(other_total)
        # log(p / q) is the difference of logits less that of their totals.
        gap = np.multiply(weights, x - y).sum(dtype=np.float64) / total
        result.kl[row] = gap - (log_total - other_log_total)
        result.source_nll[row] = log_total - float(x[token])
        result.nll[row] = other_log_total - float(y[token])
        result.same_top[row] = top == other_top
    return result


def joined(parts: Sequence[Divergences]) -> Divergences:
    """All of them, one after the other."""
    return Divergences(*(np.concatenate(values) for values in zip(*parts, strict=True)))
