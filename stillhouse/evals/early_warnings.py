"""What is wrong with a run, said while it can still be stopped: no answers, or below chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from math import fsum, sqrt

from stillhouse.evals.sample import Sample, Verdict
from stillhouse.evals.task import Task

_LEAST_QUESTIONS = 20
_ONE_IN_A_HUNDRED = 2.33  # one-sided quantile of the normal distribution

_WHY: dict[Verdict, str] = {
    "truncated": "are cut off before an answer: raise --max-tokens",
    "no_answer": "have no answer that can be read: check the template, and look at a sample",
    "looped": "went in circles: check the template, or raise the temperature",
}


class EarlyWarning:
    """Looks at a task's samples as they come. Says each thing once, after 20 questions."""

    def __init__(self, task: Task, so_far: Iterable[Sample] = ()) -> None:
        self._task = task
        self._scores: defaultdict[str, list[float]] = defaultdict(list)
        self._verdicts: Counter[Verdict] = Counter()
        self._is_said: set[str] = set()
        for sample in so_far:
            self._count(sample)

    def look(self, sample: Sample) -> list[str]:
        """Sentences that are new."""
        self._count(sample)
        if len(self._scores) < _LEAST_QUESTIONS:
            return []
        found = dict(self._found())
        new = [sentence for kind, sentence in found.items() if kind not in self._is_said]
        self._is_said |= found.keys()
        return new

    def _count(self, sample: Sample) -> None:
        self._scores[sample.problem].append(sample.score)
        self._verdicts[sample.verdict] += 1

    def _found(self) -> Iterable[tuple[str, str]]:
        name, total = self._task.name, self._verdicts.total()
        for verdict, why in _WHY.items():
            if self._verdicts[verdict] == total:
                yield "unanswered", f"{name}: all of {total} samples {why}"
                return
        if not self._verdicts["right"] and not self._verdicts["wrong"]:
            yield "unanswered", f"{name}: none of {total} samples has an answer that can be read"
            return
        chance, questions = self._task.chance, len(self._scores)
        if chance == 0:
            return
        means = [fsum(scores) / len(scores) for scores in self._scores.values()]
        mean = fsum(means) / questions
        # Of single guesses; means of several samples vary less, so this never cries wolf for them.
        error = sqrt(chance * (1 - chance) / questions)
        if mean < chance - _ONE_IN_A_HUNDRED * error:
            yield (
                "chance",
                f"{name}: {mean:.1%} of {questions} questions are right, and guessing gives"
                f" {chance:.1%}: check the template and how answers are read",
            )
