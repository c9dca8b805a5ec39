"""Two runs of the same task: what one lost against the other, or why that can't be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.evals.paired import Difference, difference_of, verdict_of
from stillhouse.evals.result import EvalResult
from stillhouse.evals.summary import TaskSummary

# Seeds: other samples of the same. Budgets open a thought, and are what is compared.
_MAY_DIFFER = ("seed", "thinking_budget")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`b` against the baseline `a`, by their labels; `difference` is None where the verdict says
    that they are not comparable. `samples` is how many a question has in both runs, `differs` how
    they were asked otherwise, `temperature 0.6 and 0.7`, budgets of thought apart."""

    a: str
    b: str
    task: str
    questions: int
    samples: int
    difference: Difference | None
    verdict: str
    differs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The names of `still eval --json`: `difference` in scores from 0 to 1, `recovery` as a
        share of the baseline's."""
        found = self.difference
        recovery = None if found is None else found.recovery
        return {
            "a": self.a,
            "b": self.b,
            "task": self.task,
            "questions": self.questions,
            "samples": self.samples,
            "difference": None if found is None else found.value,
            "low": None if found is None else found.low,
            "high": None if found is None else found.high,
            "stderr_questions": None if found is None else found.stderr_questions,
            "stderr_sampling": None if found is None else found.stderr_sampling,
            "least_difference": None if found is None else found.least,
            "recovery": None if recovery is None else recovery.value,
            "recovery_low": None if recovery is None else recovery.low,
            "recovery_high": None if recovery is None else recovery.high,
            "verdict": self.verdict,
            "asked_otherwise": list(self.differs),
        }


def compare(baseline: TaskSummary, other: TaskSummary, *, a: str, b: str) -> Comparison:
    """`a` and `b` are the labels. Questions belong together by their ids, if they ask the same; of
    the same task, version and prompt, and all of them: what is left would be other questions."""
    samples = min(baseline.samples, other.samples)
    reason = _reason(baseline, other)
    if reason is not None:
        questions = len(baseline.digests.items() & other.digests.items())
        verdict = f"{reason}: not comparable"
        return Comparison(a, b, other.task, questions, samples, None, verdict)
    difference = difference_of(
        list(baseline.scores.values()),
        [other.scores[problem] for problem in baseline.scores],
        is_greedy=baseline.is_greedy and other.is_greedy,
    )
    fewest = min(baseline.all_samples, other.all_samples)
    verdict = verdict_of(difference, fewest)
    differs = tuple(_differs(baseline.options, other.options))
    return Comparison(a, b, other.task, baseline.questions, samples, difference, verdict, differs)


def compare_all(results: Sequence[EvalResult], baseline: str | None = None) -> list[Comparison]:
    """Every other result against the one with the label `baseline` (None: the first), in each task
    that both have. Raises UsageError for a label that is not there."""
    if not results:
        return []
    label = results[0].label if baseline is None else baseline
    first = next((one for one in results if one.label == label), None)
    if first is None:
        raise UsageError(
            f"there is no result '{label}' to compare with",
            hint=f"the results are {', '.join(one.label for one in results)}",
        )
    return [
        compare(summary, other.tasks[name], a=first.label, b=other.label)
        for other in results
        if other is not first
        for name, summary in first.tasks.items()
        if name in other.tasks
    ]


def _reason(a: TaskSummary, b: TaskSummary) -> str | None:
    if a.task != b.task:
        return "tasks differ"
    if a.version != b.version:
        return "versions of the task differ"
    if a.prompt != b.prompt:
        return "prompts differ"
    if a.scores.keys() != b.scores.keys() or a.digests != b.digests:
        return "questions differ"
    return None


def _differs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """Of the options that change what is drawn, and how much may be written."""
    has_budget = any(one.get("thinking_budget") is not None for one in (a, b))
    may_differ = (*_MAY_DIFFER, "think") if has_budget else _MAY_DIFFER
    for name in dict.fromkeys([*a, *b]):
        if name not in may_differ and a.get(name) != b.get(name):
            values = [option_text(options.get(name)) for options in (a, b)]
            yield f"{name} {values[0]} and {values[1]}"


def option_text(value: Any) -> str:
    """An option's value in a sentence."""
    if value is None:
        return "not said"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value}"
