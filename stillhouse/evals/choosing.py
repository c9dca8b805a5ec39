"""What a model chooses of what may follow, by log-likelihood: lm-eval's accuracies and MC2.

acc takes the likeliest choice, acc_norm the likeliest per character (EleutherAI's lm-eval,
`ConfigurableTask.process_results`: a choice's characters, without the space before it); of equals
both take the first. MC2 is the probability of the right choices among all (TruthfulQA,
arXiv:2109.07958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.errors import UsageError
from stillhouse.evals.sample import Verdict
from stillhouse.evals.task import Problem, Task

_DELIMITER = " "  # between prompt and choice; it belongs to neither


@dataclass(frozen=True, slots=True)
class Choice:
    """The index of what was chosen, and what the metric gives for it, from 0 to 1."""

    index: int
    verdict: Verdict
    score: float


def choose(task: Task, problem: Problem, loglikelihoods: Sequence[float]) -> Choice:
    """By the task's metric. `loglikelihoods`: nats, one a choice. Raises UsageError for none that
    are numbers: then the model's logits are none.

    With MC2 the verdict is right where the right choices have more than half of the probability.
    """
    assert len(loglikelihoods) == len(problem.choices)
    if any(map(math.isnan, loglikelihoods)) or max(loglikelihoods) == -math.inf:
        raise UsageError(f"the choices of {task.name} {problem.id} have no likelihoods")
    right = _right(problem)
    if task.metric == "mc2":
        best = max(loglikelihoods)
        weights = [math.exp(one - best) for one in loglikelihoods]
        score = math.fsum(weights[index] for index in right) / math.fsum(weights)
        index = _first_best(loglikelihoods)
        return Choice(index, "right" if score > 0.5 else "wrong", score)
    if task.metric == "normalised":
        lengths = [len(text.removeprefix(_DELIMITER)) for text in problem.choices]
        loglikelihoods = [one / length for one, length in zip(loglikelihoods, lengths, strict=True)]
    index = _first_best(loglikelihoods)
    is_right = index in right
    return Choice(index, "right" if is_right else "wrong", float(is_right))


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _right(problem: Problem) -> frozenset[int]:
    """The gold's index, or all that a list of labels, 1 for a right choice, says of them."""
    labels = (problem.extra or {}).get("labels")
    if labels is None:
        return frozenset([int(problem.gold)])
    return frozenset(index for index, label in enumerate(labels) if label == 1)
