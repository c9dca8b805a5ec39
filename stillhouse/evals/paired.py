"""Two runs over the same questions: their difference and their ratio, question by question.

Questions differ far more from each other than two quantisations of a model do, and what both find
hard cancels out where a question's two means are subtracted. So intervals are of these differences
(arXiv 2411.00640, the paired analysis), not of two scores apart.

There are two of them again. The verdict goes by the one across questions: whoever picks a
quantisation will ask other questions than the benchmark's. Its error has both parts, how the true
differences vary from question to question and what sampling adds, and one sample a question is
enough for it. The one for the fixed set holds sampling alone. It is narrower, answers only whether
*these questions'* scores would differ if asked for ever, and needs two samples a question.

Samples that hold no case of something can't say that there is none: a t interval alone would be of
no width where two runs happen to agree everywhere. So intervals are as wide as if one question more
had been lost altogether and one sample of another: for nothing but more questions finds rare
losses. In simulations of 200 questions with 4 samples each and 1 question in 100 lost, t intervals
hold the truth in 87 of 100 cases, these in all; with 1 in 50 lost both stay at 91. It goes by the
share of scores that are just right or wrong: others (mc2) are the same only where the same was
computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import sub
from typing import NamedTuple

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.evals.statistics import Floats, Scores, means_of, variances_of
from stillhouse.intervals import student_t

LEAST_QUESTIONS = 6
"""With fewer, a fair coin might have lost all of them: 2 / 2^5 is above 5 %."""

_Z_80 = 0.8416212335729143  # 80 % of a normal distribution
_ANYTHING = (-1.0, 1.0)


class Ratio(NamedTuple):
    """Limits are None where the divisor may be nothing."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """B's mean less A's, over the same questions; from -1 to 1.

    `least` is the least true difference that so many questions and samples show in at least 4 of 5
    runs; None where none would. Errors are None where the samples can't tell them; the limits
    across questions are then -1 and 1.
    """

    value: float
    low: float
    high: float
    stderr_questions: float | None
    stderr_sampling: float | None
    sampling_low: float | None
    sampling_high: float | None
    least: float | None
    recovery: Ratio | None

    @property
    def is_shown(self) -> bool:
        """Whether it is more than chance."""
        return self.low > 0 or self.high < 0


def difference_of(a: Scores, b: Scores, *, is_greedy: bool = False) -> Difference:
    """B against A; row q of both is of one question. `is_greedy`: neither draws anything.

    Where rows are of one length, sample k of one belongs to sample k of the other, as with the same
    seed: what they share leaves the error of sampling too. Raises UsageError for rows that can't be
    of the same questions, and where one is empty.
    """
    if len(a) != len(b):
        raise UsageError(f"A has {len(a)} questions, B has {len(b)}: they can't be paired")
    means_a, means_b = means_of(a), means_of(b)
    apart = means_b - means_a
    number, value = apart.size, float(apart.mean())
    decided, a_sample = _decided(a, b), _a_sample(a, b)
    unseen = decided * (1 + a_sample) / number**2
    stderr_sampling = 0.0 if is_greedy else _sampling_error(a, b)
    sampling_low = sampling_high = None
    if stderr_sampling is not None:
        half = 0.0
        if not is_greedy:
            freedom = sum(max(len(one), len(two)) - 1 for one, two in zip(a, b, strict=True))
            fewest = min(sum(map(len, a)), sum(map(len, b)))
            alone = 2 * decided * a_sample / (number * fewest)  # two samples, answered differently
            half = student_t(max(2, freedom)) * math.sqrt(stderr_sampling**2 + alone)
        sampling_low, sampling_high = _limits(value, half)
    low, high = _ANYTHING
    stderr = least = None
    if number >= LEAST_QUESTIONS:
        stderr = float(apart.std(ddof=1)) / math.sqrt(number)
        wide, t = math.hypot(stderr, math.sqrt(unseen)), student_t(number - 1)
        low, high = _limits(value, t * wide)
        least = _least(t + _Z_80, wide, decided / number)
    return Difference(
        value,
        low,
        high,
        stderr,
        stderr_sampling,
        sampling_low,
        sampling_high,
        least,
        _recovery(means_a, means_b, unseen),
    )


def verdict_of(difference: Difference, samples: int) -> str:
    """In words; `samples` is how many each run has in all."""
    points, low, high = (100 * one for one in (difference.value, difference.low, difference.high))
    if difference.stderr_questions is None and (difference.low, difference.high) == _ANYTHING:
        return f"too few questions to tell: at least {LEAST_QUESTIONS} are needed"
    if difference.low == difference.high == 0:
        return "the same score on every question"
    if low > 0:
        return f"better by {points:.1f} points ({low:.1f} to {high:.1f})"
    if high < 0:
        return f"worse by {-points:.1f} points ({-high:.1f} to {-low:.1f})"
    number = "one sample" if samples == 1 else f"{samples:,} samples"
    return f"no difference that {number} can show (at most ±{max(-low, high):.1f} points)"


def _recovery(a: Floats, b: Floats, unseen: float) -> Ratio | None:
    """B's mean as a share of A's, with Fieller's interval; None where A's is 0.

    It holds every ratio r for which mean(b - r a) may be 0 by the test that the verdict goes by, so
    it holds 1 just where no difference is shown; intervals of a bootstrap or by the delta method
    may contradict the verdict. And where A's mean itself may be 0, it has no limits.
    """
    number, mean_a, mean_b = a.size, float(a.mean()), float(b.mean())
    if mean_a == 0:
        return None
    value = mean_b / mean_a
    if number < LEAST_QUESTIONS:
        return Ratio(value, None, None)
    covariance = np.cov(a, b) / number + np.eye(2) * unseen / 2
    squared = student_t(number - 1) ** 2
    first = mean_a**2 - squared * covariance[0, 0]
    middle = mean_a * mean_b - squared * covariance[0, 1]
    last = mean_b**2 - squared * covariance[1, 1]
    if first <= 0:
        return Ratio(value, None, None)
    root = math.sqrt(max(0.0, middle**2 - first * last))
    low, high = ((middle + side * root) / first for side in (-1, 1))
    return Ratio(value, max(0.0, min(value, low)), max(value, high))


def _least(factor: float, wide: float, a_question: float) -> float | None:
    """The difference d that is `factor` = t + z(0.8) times its error (arXiv 2411.00640, on power).

    A loss brings a variance of its own along, which a run without it doesn't show: whole questions
    that are lost, d of them, add d (1 - d) / N. `a_question`: 1 / N. Solved for d.
    """
    own = factor**2 * a_question
    root = math.sqrt(own**2 + 4 * (1 + own) * (factor * wide) ** 2)
    least = (own + root) / (2 * (1 + own))
    return least if least < 1 else None


def _decided(a: Scores, b: Scores) -> float:
    """The share of scores that are right or wrong, and nothing between."""
    scores = [score for rows in (a, b) for row in rows for score in row]
    return sum(score in (0, 1) for score in scores) / len(scores)


def _a_sample(a: Scores, b: Scores) -> float:
    """What a sample is of its question: 1 / K, the mean over questions."""
    return math.fsum(1 / len(row) for rows in (a, b) for row in rows) / (len(a) + len(b))


def _sampling_error(a: Scores, b: Scores) -> float | None:
    """For the fixed set; None where no row has two samples in both runs."""
    rows = list(zip(a, b, strict=True))
    if all(len(one) == len(two) for one, two in rows):
        variances = variances_of([list(map(sub, two, one)) for one, two in rows])
    else:
        apart = [variances_of(a), variances_of(b)]
        variances = [*apart[0], *apart[1]] if all(apart) else []
    return math.sqrt(math.fsum(variances)) / len(a) if variances else None


def _limits(value: float, half: float) -> tuple[float, float]:
    return max(-1.0, value - half), min(1.0, value + half)
