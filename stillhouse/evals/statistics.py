"""What samples of answers say of a model: its score, and how far from it the truth may lie.

Two questions are asked of a score, and their errors are not the same (arXiv 2411.00640, Miller):

- How much would it move if the *same questions* were answered again? Only sampling tells, so more
  samples make it as small as is wanted: `stderr_sampling`.
- How much would it move for *other questions like these*? There the questions are a sample too. The
  samples of one question hang together, so a question counts once, with its mean:
  `stderr_questions`. It holds the error of sampling as well; no number of samples makes it nothing.

Intervals are of the second kind: nobody asks a model a benchmark's questions but a benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError
from stillhouse.intervals import Z

Floats = npt.NDArray[np.float64]

Scores = Sequence[Sequence[float]]
"""A row a question: the score of each of its samples, from 0 to 1. Rows may differ in length."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Over questions, and what that of other questions like these lies between, 95 times of 100."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """A mean over questions. An error is None where the samples can't tell it: that of sampling
    with one sample a question, that of questions with one question."""

    value: float
    stderr_sampling: float | None
    stderr_questions: float | None
    low: float
    high: float


def pass_at_1(scores: Scores, *, is_greedy: bool = False) -> Score:
    """The mean over questions of each one's mean over its samples, so that every question weighs
    the same. `is_greedy`: nothing is drawn, the same would be answered again.

    Raises UsageError where a question has no sample.
    """
    means = means_of(scores)
    low, high = interval_of(means)
    return Score(
        float(means.mean()),
        0.0 if is_greedy else _sampling_error(scores),
        _questions_error(means),
        low,
        high,
    )


def pass_at_k(scores: Scores, k: int) -> Mean:
    """How likely one of k answers is right: 1 - C(n - c, k) / C(n, k), the mean over questions.

    Unbiased (arXiv 2107.03374): the share of right ones among all sets of k of a question's n
    samples. Raises UsageError without k samples of each question, and for scores between 0 and 1.
    """
    require_samples(scores, k, f"pass@{k}")
    if not all(score in (0, 1) for row in scores for score in row):
        raise UsageError(f"pass@{k} is of answers that are right or wrong, not of shares")
    return mean_of([_any_of(len(row), round(sum(row)), k) for row in scores])


def require_samples(scores: Sequence[Sequence[object]], number: int, what: str) -> None:
    """Raises UsageError, with the numbers, where a question has fewer samples than `number`."""
    if number < 1:
        raise UsageError(f"{what}: at least one sample is needed")
    if not scores:
        raise UsageError(f"{what}: there is no question")
    short = [len(row) for row in scores if len(row) < number]
    if short:
        raise UsageError(
            f"{what} needs {number} samples of each question: {len(short)} of {len(scores)}"
            f" questions have fewer, the least has {min(short)}",
            hint=f"ask for --samples {number}; a run that was stopped goes on where it was",
        )


def means_of(scores: Scores) -> Floats:
    """(questions,). Raises UsageError where a question has no sample."""
    require_samples(scores, 1, "pass@1")
    return np.array([math.fsum(row) / len(row) for row in scores], np.float64)


def mean_of(values: Sequence[float]) -> Mean:
    """Of one value a question, from 0 to 1."""
    means = np.array(values, np.float64)
    return Mean(float(means.mean()), *interval_of(means))


def interval_of(means: Floats) -> tuple[float, float]:
    """What the mean over all questions like these lies between, in 95 of 100 cases.

    Wilson's interval, exactly, for one sample a question that is right or wrong. Means over samples
    and shares (mc2) vary less than right and wrong would, and so count as more questions: their
    variance over p (1 - p) is the design effect that the number is divided by. It is taken with
    Z² / 2 questions at 0 and as many at 1 beside them, Wilson's own pull towards the middle: so few
    questions, or scores of 0 and 1, never give a narrow interval by luck.
    """
    extra = Z**2
    number, mean = means.size, float(means.mean())
    pulled = (number * mean + extra / 2) / (number + extra)
    variance = (float(np.square(means).sum()) + extra / 2) / (number + extra) - pulled**2
    effective = number * pulled * (1 - pulled) / variance
    middle = (mean + extra / (2 * effective)) / (1 + extra / effective)
    half = Z * math.sqrt(mean * (1 - mean) / effective + extra / (4 * effective**2))
    half /= 1 + extra / effective
    return max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half))


def variances_of(rows: Scores) -> list[float]:
    """Of each row's mean, from how its own samples differ.

    A single sample tells nothing of how it varies: its row is given what the other rows' samples
    vary by, in the mean. Empty where no row has two.
    """
    known = [_variance(row) if len(row) > 1 else None for row in rows]
    told = [one for one in known if one is not None]
    if not told:
        return []
    others = math.fsum(told) / len(told)
    return [
        (others if one is None else one) / len(row) for one, row in zip(known, rows, strict=True)
    ]


def _variance(row: Sequence[float]) -> float:
    mean = math.fsum(row) / len(row)
    return math.fsum((one - mean) ** 2 for one in row) / (len(row) - 1)


def _sampling_error(scores: Scores) -> float | None:
    """sqrt(sum of s² / K) / N; s² of right and wrong is p (1 - p) K / (K - 1), for K samples vary
    about their own mean. With K = 1 nothing tells a question that is answered now and then from one
    that always is.
    """
    variances = variances_of(scores)
    return math.sqrt(math.fsum(variances)) / len(scores) if variances else None


def _questions_error(means: Floats) -> float | None:
    return float(means.std(ddof=1)) / math.sqrt(means.size) if means.size > 1 else None


def _any_of(samples: int, right: int, k: int) -> float:
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)
