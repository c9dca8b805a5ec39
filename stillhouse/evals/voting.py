"""Many samples, one answer: what a majority of k would have said."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.evals.statistics import Mean, mean_of, require_samples


@dataclass(frozen=True, slots=True)
class Vote:
    """A sample's answer in one form for all ways to write it, None if it has none; its score."""

    answer: str | None
    score: float


def maj_at_k(votes: Sequence[Sequence[Vote]], k: int) -> Mean:
    """The score of what most of k samples answer, the mean over questions.

    Exact: the expected value over all sets of k of a question's samples; for k = n there is one.
    Samples without an answer don't vote; without any vote the score is 0. Of answers with equally
    many votes one is drawn, so that each counts with its share.
    Raises UsageError without k samples of each question.
    """
    require_samples(votes, k, f"maj@{k}")
    return mean_of([_expected(row, k) for row in votes])


def _expected(votes: Sequence[Vote], k: int) -> float:
    """Over all sets of k. An answer's score is its samples' mean: a grader may once have run out of
    time over the same answer."""
    by_answer: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        if vote.answer is not None:
            by_answer[vote.answer].append(vote.score)
    groups = [(len(scores), math.fsum(scores) / len(scores)) for scores in by_answer.values()]
    if not any(score for _, score in groups):
        return 0.0
    most = min(k, max(size for size, _ in groups))
    tops = range(1, most + 1)
    return min(1.0, math.fsum(_with_top(groups, len(votes), k, top) for top in tops))


def _with_top(groups: Sequence[tuple[int, float]], samples: int, k: int, top: int) -> float:
    """What sets add whose winner has just `top` votes.

    Answer by answer, in any order: how many of its samples are drawn is hypergeometric, given what
    is left to draw and to draw from. `chance[r, t]`: r are left to draw, t answers have `top` votes
    so far, none has more; `score[r, t]`: the same times the sum of those t answers' scores. What is
    left at the end is drawn from the samples without an answer.
    """
    most_tied = k // top
    chance = np.zeros((k + 1, most_tied + 1))
    score = np.zeros_like(chance)
    chance[k, 0] = 1.0
    left = samples
    for size, value in groups:
        next_chance, next_score = np.zeros_like(chance), np.zeros_like(score)
        for drawn in range(min(size, top) + 1):
            share = _hypergeometric(left, size, k, drawn)[:, None]
            moved = (share * chance)[drawn:]
            scored = (share * score)[drawn:]
            rows = k + 1 - drawn
            if drawn < top:
                next_chance[:rows] += moved
                next_score[:rows] += scored
            else:
                next_chance[:rows, 1:] += moved[:, :-1]
                next_score[:rows, 1:] += (scored + value * moved)[:, :-1]
        chance, score, left = next_chance, next_score, left - size
    return float((score.sum(0)[1:] / np.arange(1, most_tied + 1)).sum())


def _hypergeometric(left: int, size: int, most: int, drawn: int) -> npt.NDArray[np.float64]:
    """(most + 1,): for each r, how likely r draws from `left` samples hold `drawn` of `size`."""
    return np.array(
        [
            math.comb(size, drawn) * math.comb(left - size, r - drawn) / math.comb(left, r)
            if drawn <= r <= left
            else 0.0
            for r in range(most + 1)
        ]
    )
