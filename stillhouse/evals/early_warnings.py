"""What is wrong with a run, said while it can be stopped: no answers, none right, below chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from stillhouse.evals.chance import chance_warning
from stillhouse.evals.sample import Sample, Verdict
from stillhouse.evals.task import Task

_LEAST_QUESTIONS = 20
_EVERY = 10  # questions between two looks: each look goes over all of them

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
        self._said: set[str] = set()
        self._next = _LEAST_QUESTIONS
        for sample in so_far:
            self._count(sample)

    def look(self, sample: Sample) -> list[str]:
        """Sentences that are new."""
        self._count(sample)
        if len(self._scores) < self._next:
            return []
        self._next = len(self._scores) + _EVERY
        found = [(kind, text) for kind, text in self._found() if kind not in self._said]
        self._said |= {kind for kind, _ in found}
        return [f"{self._task.name}: {text}" for _, text in found]

    def standing(self) -> list[str]:
        """Sentences that hold now, said before or not."""
        if len(self._scores) < _LEAST_QUESTIONS:
            return []
        return [f"{self._task.name}: {text}" for _, text in self._found()]

    def _count(self, sample: Sample) -> None:
        self._scores[sample.problem].append(sample.score)
        self._verdicts[sample.verdict] += 1

    def _found(self) -> Iterator[tuple[str, str]]:
        if not self._verdicts["right"] + self._verdicts["wrong"]:
            total = self._verdicts.total()
            whys = [why for verdict, why in _WHY.items() if self._verdicts[verdict] == total]
            yield (
                "unanswered",
                f"all {total} samples {whys[0] if whys else 'end without an answer'}",
            )
            return
        below = chance_warning(list(self._scores.values()), self._task.chance)
        if below is not None:
            yield "chance", below
        elif not self._verdicts["right"]:
            yield "none", f"none of {len(self._scores)} questions is right: look at a sample"
