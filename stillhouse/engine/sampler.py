"""From logits to a token: temperature, min-p, top-k, top-p, and one seeded draw.

The rule, in this order; each step sees the renormalised survivors of the one before:

1. `temperature` 0 takes the most probable token (the lowest id among equals), and nothing else
   counts. Otherwise p = softmax(logits / temperature). Tokens of less than e^-25 times the most
   probable one's probability, together a few millionths at most, need not be drawn.
2. `min_p` keeps tokens of at least `min_p` times the most probable one's probability.
3. `top_k` keeps the k most probable tokens; 0 keeps all.
4. `top_p` keeps the fewest most probable tokens that together reach it; 1 keeps all.
5. A uniform number walks the survivors in order of id.

Among equally probable tokens, 3 and 4 prefer lower ids. The sequence draws from its own generator,
once a token, so that its text depends on its seed and not on its company.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import BadCheckpoint, UsageError

_REACH = 25.0  # natural logarithms below the maximum; 262,144 tokens of e^-25 weigh 4e-6 of it
_STRIDE = 1024
_COLUMN = 128  # logits whose largest is one value; 64 to 256 are as fast on 151,936
_MAX_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose tokens, and when to stop. Raises UsageError for a value out of its range."""

    max_tokens: int  # 0 only for requests that score: see `Request`
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None  # None draws one from the system
    stop_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False  # run on to `max_tokens` through the stop ids, to measure speed
    presence_penalty: float = 0.0  # these four: see `penalties`
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None  # None: none; n: the chosen token's and those of the n best

    def __post_init__(self) -> None:
        _check("max_tokens", self.max_tokens, self.max_tokens >= 0, "at least 0")
        _check("temperature", self.temperature, 0 <= self.temperature <= 100, "in 0 to 100")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _check("top_k", self.top_k, self.top_k >= 0, "at least 0")
        _check("min_p", self.min_p, 0 <= self.min_p <= 1, "in 0 to 1")
        _check("seed", self.seed, self.seed is None or self.seed >= 0, "at least 0")
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            _check(name, value, -2 <= value <= 2, "in -2 to 2")
        repeat = self.repeat_penalty
        _check("repeat_penalty", repeat, 0 < repeat <= 100, "above 0 and at most 100")
        for token_id, bias in self.logit_bias:
            _check(f"logit_bias of {token_id}", bias, -100 <= bias <= 100, "in -100 to 100")
        in_range = self.logprobs is None or 0 <= self.logprobs <= _MAX_LOGPROBS
        _check("logprobs", self.logprobs, in_range, f"in 0 to {_MAX_LOGPROBS}")

    @property
    def has_penalties(self) -> bool:
        """Whether anything changes the logits before they are sampled."""
        changed = self.presence_penalty or self.frequency_penalty or self.repeat_penalty != 1
        return bool(changed or self.logit_bias)


class Survivors(NamedTuple):
    """Tokens that may be drawn, in ascending order, and their probabilities up to one factor."""

    ids: NDArray[np.intp]
    weights: NDArray[np.float32]  # the sampler's own: valid until its next call


class Sampler:
    """Samples for one vocabulary, with room to work in that is not allocated for every token."""

    def __init__(self, vocab_size: int) -> None:
        self._all_ids = np.arange(vocab_size)
        self._weights = np.empty(vocab_size, np.float32)
        self._mask = np.empty(vocab_size, np.bool_)

    def sample(
        self, logits: NDArray[np.float32], params: SamplingParams, rng: np.random.Generator
    ) -> int:
        """One token id for float32 (vocab,) logits. Raises BadCheckpoint if they are no numbers."""
        if params.temperature == 0:
            token_id = int(logits.argmax())
            check_finite(logits[token_id])
            return token_id
        ids, weights = self.survivors(logits, params)
        return int(ids[_walk(weights, rng.random())])

    def survivors(self, logits: NDArray[np.float32], params: SamplingParams) -> Survivors:
        """Steps 1 to 4 of the rule, for a temperature above 0.

        Most of a vocabulary is usually so far below the maximum that it is not even exponentiated,
        and only what is near the maximum is ever sorted.
        """
        maximum = logits.max()
        check_finite(maximum)
        reach = _REACH if params.min_p == 0 else -math.log(params.min_p)
        is_within = self._is_near(logits, maximum, reach * params.temperature)
        num_within = np.count_nonzero(is_within)
        if 0 < params.top_k < num_within:
            floor = max(maximum - reach * params.temperature, _below_top(logits, params.top_k))
            near = np.flatnonzero(np.greater_equal(logits, np.float32(floor), out=self._mask))
            ids = np.sort(_descending(logits, near)[: params.top_k])
            kept = logits[ids]
        elif params.min_p == 0 and num_within > len(logits) // 8:
            ids, kept = self._all_ids, logits  # cheaper than picking so many out
        else:
            ids = np.flatnonzero(is_within)
            kept = logits[ids]
        weights = np.subtract(kept, maximum, out=self._weights[: len(ids)])
        weights *= np.float32(1 / params.temperature)
        np.exp(weights, out=weights)
        if params.top_p < 1:
            mass = params.top_p * float(weights.sum())
            ranked = self._rank(
                kept, maximum, params.temperature, lambda near: weights[near].sum() >= mass
            )
            reached = weights[ranked].cumsum(dtype=np.float64).searchsorted(mass)
            best = np.sort(ranked[: reached + 1])
            ids, weights = ids[best], weights[best]
        return Survivors(ids, weights)

    def _rank(
        self,
        kept: NDArray[np.float32],
        maximum: np.float32,
        temperature: float,
        is_enough: Callable[[NDArray[np.intp]], bool],
    ) -> NDArray[np.intp]:
        """Indices of the largest, in descending order: as many as are enough, seldom all."""
        reach = 6.0
        while True:
            near = np.flatnonzero(self._is_near(kept, maximum, reach * temperature))
            if len(near) == len(kept) or is_enough(near):
                return _descending(kept, near)
            reach *= 2

    def _is_near(
        self, values: NDArray[np.float32], maximum: np.float32, reach: float
    ) -> NDArray[np.bool_]:
        """Where the values are at most `reach` below the maximum; valid until the next call.

        In memory of its own: taking fresh memory for every row would cost more than comparing.
        """
        floor = np.float32(float(maximum) - reach)
        return np.greater_equal(values, floor, out=self._mask[: len(values)])


def logprobs_of(
    logits: NDArray[np.float32], token_id: int, num_best: int
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Log-probability of a token under the unchanged distribution (temperature 1, no filters), and
    the most probable tokens with theirs, best first.
    """
    total = _log_sum_exp(logits)
    best = tuple((int(i), float(logits[i]) - total) for i in _best(logits, num_best))
    return float(logits[token_id]) - total, best


def _best(logits: NDArray[np.float32], num_best: int) -> NDArray[np.intp]:
    """Ids of the most probable tokens, best first; lower ones among equals."""
    if num_best == 1:  # most often, where texts are scored, and hundreds of times as fast
        return np.array([logits.argmax()])
    if not num_best:
        return np.empty(0, np.intp)
    ids = np.flatnonzero(logits >= _below_top(logits, num_best))
    return _descending(logits, ids)[:num_best]


def _below_top(logits: NDArray[np.float32], count: int) -> np.float32:
    """A value that at least `count` logits reach, and seldom many more.

    The count-th largest of the largest of each column: a pass at the speed of memory. Sorting what
    is near the maximum instead took a fifth of a step's time: where the model is sure of a token,
    the twentieth is so far behind that half a vocabulary is near.
    """
    num_columns = len(logits) // _COLUMN
    largest = logits
    if num_columns >= 4 * count:  # so many that few of the best share a column
        largest = logits[: num_columns * _COLUMN].reshape(_COLUMN, num_columns).max(axis=0)
    return np.float32(np.partition(largest, -count)[-count])


def _descending(values: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """The indices by descending value, lower ones first among equals."""
    return indices[(-values[indices]).argsort(kind="stable")]


def check_finite(maximum: np.float32) -> None:
    """Raises BadCheckpoint if the largest of a row of logits is no number."""
    if not math.isfinite(maximum):
        raise BadCheckpoint(
            "the model computed logits that are not numbers",
            hint="the file is damaged, or its architecture is not the one it names",
        )


def _walk(weights: NDArray[np.float32], uniform: float) -> int:
    """The index at which `uniform` of the total weight has passed.

    In strides first, since adding up one by one is slow for a whole vocabulary.
    """
    starts = np.arange(0, len(weights), _STRIDE)
    passed = np.add.reduceat(weights, starts).cumsum(dtype=np.float64)
    target = uniform * passed[-1]
    stride = min(int(passed.searchsorted(target, side="right")), len(starts) - 1)
    start = stride * _STRIDE
    within = weights[start : start + _STRIDE].cumsum(dtype=np.float64)
    before = passed[stride - 1] if stride else 0.0
    index = int(within.searchsorted(target - before, side="right"))
    return start + min(index, len(within) - 1)  # sums in another order may differ in the last bit


def _log_sum_exp(logits: NDArray[np.float32]) -> float:
    maximum = float(logits.max())
    return maximum + math.log(np.exp(logits - np.float32(maximum)).sum(dtype=np.float64))


def _check(name: str, value: object, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise UsageError(f"{name} is {value}, and must be {wanted}")
