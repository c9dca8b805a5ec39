"""Whether a score is worse than guessing: then something is wrong with how the model is asked."""

from __future__ import annotations

import math

from stillhouse.evals.statistics import Scores, means_of

ALARMING = 0.001
"""As unlikely is a warning by bad luck. It is low, for a run that goes on is looked at often."""


def chance_of_so_few(right: float, questions: int, chance: float) -> float:
    """How likely guessing gets no more than `right` of so many: the binomial distribution's tail.

    A part of a right answer counts as a whole one, so the likelihood is never told too low.
    """
    most = min(questions, math.ceil(right - 1e-9))
    if chance <= 0 or most >= questions:
        return 1.0
    if chance >= 1:
        return 0.0
    terms = [
        math.exp(
            math.lgamma(questions + 1)
            - math.lgamma(count + 1)
            - math.lgamma(questions - count + 1)
            + count * math.log(chance)
            + (questions - count) * math.log1p(-chance)
        )
        for count in range(most + 1)
    ]
    return min(1.0, math.fsum(terms))


def chance_warning(scores: Scores, chance: float) -> str | None:
    """A line where the score is below what guessing gives, by more than bad luck; else None.

    The samples of a question hang together, so a question counts once, with its mean: more samples
    a question make the test no sharper. It can be asked while a run goes on.
    """
    if not scores or chance <= 0:
        return None
    means = means_of(scores)
    if chance_of_so_few(float(means.sum()), means.size, chance) >= ALARMING:
        return None
    return (
        f"{means.mean() * 100:.1f} % after {means.size:,} questions, where guessing gets"
        f" {chance * 100:.3g} %: look at the prompt, the template and what is taken for the answer"
    )
