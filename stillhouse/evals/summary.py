"""What a run says of one task: a score with its errors, how answers failed, what they took."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.evals.grading import boxes
from stillhouse.evals.sample import Sample, Verdict
from stillhouse.evals.statistics import Mean, Score, pass_at_1, pass_at_k, require_samples
from stillhouse.evals.task import Problem, Task
from stillhouse.evals.voting import Vote, maj_at_k

_LEAST_VOTES = 3  # two either agree or are a tie
_RIGHT = "= gold"  # no formula in plain form, which has no spaces


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """Scores are from 0 to 1; `samples` is how many every question has at least.

    A mean or cost is None where there is nothing to take it of: no tokens were written (choices),
    nothing was right, nobody timed it. `scores` holds each question's, by the samples' numbers.
    """

    task: str
    title: str
    version: int
    prompt: str
    source: str
    chance: float
    samples: int
    score: Score
    pass_at: Mapping[int, Mean]
    maj_at: Mapping[int, Mean]
    verdicts: Mapping[Verdict, int]
    mean_reasoning_tokens: float | None
    mean_answer_tokens: float | None
    tokens_per_correct: float | None
    seconds_per_correct: float | None
    groups: Mapping[str, tuple[int, Score]]  # questions and score of each
    is_greedy: bool
    options: Mapping[str, Any]  # how it was asked: seed, temperature, limits
    scores: Mapping[str, tuple[float, ...]] = field(repr=False)
    digests: Mapping[str, str] = field(repr=False)  # of each question: what was asked, its gold

    @property
    def questions(self) -> int:
        return len(self.scores)

    @property
    def all_samples(self) -> int:
        return sum(map(len, self.scores.values()))

    @property
    def is_complete(self) -> bool:
        """Whether every question has as many samples as any."""
        return self.all_samples == self.questions * max(map(len, self.scores.values()))

    def as_json(self) -> dict[str, Any]:
        """The names of `still eval --json`, without the task's own."""
        return {
            "title": self.title,
            "version": self.version,
            "prompt": self.prompt,
            "source": self.source,
            "options": dict(self.options),
            "questions": self.questions,
            "samples": self.samples,
            **_score_json(self.score),
            **_means_json("pass@k", self.pass_at),
            **_means_json("maj@k", self.maj_at),
            **{name: self.verdicts[name] for name in ("no_answer", "truncated", "looped")},
            **{name: self.verdicts[name] for name in ("wrong", "right")},
            "mean_reasoning_tokens": self.mean_reasoning_tokens,
            "mean_answer_tokens": self.mean_answer_tokens,
            "tokens_per_correct": self.tokens_per_correct,
            "seconds_per_correct": self.seconds_per_correct,
            "chance": self.chance,
            "groups": {
                name: {"questions": questions, **_score_json(score)}
                for name, (questions, score) in self.groups.items()
            },
        }


def summarise(
    task: Task,
    problems: Sequence[Problem],
    samples: Iterable[Sample],
    *,
    duration_s: float | None,
    num_samples: int | None = None,
    pass_ks: Sequence[int] | None = None,
    maj_ks: Sequence[int] | None = None,
    is_greedy: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> TaskSummary:
    """`num_samples`: how many a question must have; those of higher numbers are left out. None
    takes what there is, if every problem has at least one.

    `pass_ks` and `maj_ks` are what to print; None is what the samples allow: powers of two, and
    all. `is_greedy` is whether the run drew nothing; None goes by the task. Raises UsageError for
    samples that are missing, asked twice or of no problem, and for a k without k samples of each
    question.
    """
    rows = _rows(task, problems, samples, num_samples)
    kept = [sample for row in rows.values() for sample in row]
    scores = {problem: tuple(one.score for one in row) for problem, row in rows.items()}
    require_samples(list(scores.values()), num_samples or 1, f"pass@1:{num_samples or 1}")
    fewest = min(map(len, scores.values()))
    greedy = task.greedy or task.asking == "choices" if is_greedy is None else is_greedy
    verdicts = Counter(sample.verdict for sample in kept)
    right = verdicts["right"]
    tokens = sum(one.reasoning_tokens + one.answer_tokens for one in kept)
    has_votes = task.asking != "choices" and task.grader != "code"
    if maj_ks and not has_votes:
        raise UsageError(f"maj@{maj_ks[0]}: {task.name} has no answers that could vote")
    if pass_ks is None:
        has_shares = any(one.score not in (0, 1) for one in kept)
        pass_ks = () if has_shares else _default_ks(fewest)
    if maj_ks is None:
        maj_ks = [k for k in _default_ks(fewest) if k >= _LEAST_VOTES] if has_votes else ()
    votes = [[Vote(_voted(task, one), one.score) for one in row] for row in rows.values()]
    return TaskSummary(
        task=task.name,
        title=task.title,
        version=task.version,
        prompt=task.prompt,
        source=task.source,
        chance=task.chance,
        samples=fewest,
        score=pass_at_1(list(scores.values()), is_greedy=greedy),
        pass_at={k: pass_at_k(list(scores.values()), k) for k in pass_ks},
        maj_at={k: maj_at_k(votes, k) for k in maj_ks},
        verdicts=verdicts,
        mean_reasoning_tokens=_mean([one.reasoning_tokens for one in kept]) if tokens else None,
        mean_answer_tokens=_mean([one.answer_tokens for one in kept]) if tokens else None,
        tokens_per_correct=tokens / right if tokens and right else None,
        seconds_per_correct=duration_s / right if duration_s is not None and right else None,
        groups=_groups(problems, scores, is_greedy=greedy),
        is_greedy=greedy,
        options=options or {},
        scores=scores,
        digests={problem.id: problem.digest for problem in problems},
    )


def _voted(task: Task, sample: Sample) -> str | None:
    """Graders write numbers and letters in one form. Formulas can be written in many: those that
    math-verify found to equal the right one are one answer, others where they read alike."""
    if sample.extracted is None or task.grader != "mathematics":
        return sample.extracted
    return _RIGHT if sample.verdict == "right" else boxes.plain(sample.extracted)


def _rows(
    task: Task, problems: Sequence[Problem], samples: Iterable[Sample], num_samples: int | None
) -> dict[str, list[Sample]]:
    """Each problem's samples in the order of their numbers; problems in their own order."""
    rows: dict[str, dict[int, Sample]] = {problem.id: {} for problem in problems}
    for sample in samples:
        if sample.task != task.name or sample.problem not in rows:
            raise UsageError(
                f"a sample of {sample.task} {sample.problem!r} is none of the {len(rows)}"
                f" questions of {task.name} that were asked",
                hint="use the --data, --limit and --seed that the samples were made with",
            )
        if sample.number in rows[sample.problem]:
            raise UsageError(
                f"sample {sample.number} of {sample.task} {sample.problem!r} is there twice"
            )
        if num_samples is None or sample.number < num_samples:
            rows[sample.problem][sample.number] = sample
    return {name: [row[number] for number in sorted(row)] for name, row in rows.items()}


def _groups(
    problems: Sequence[Problem], scores: Mapping[str, Sequence[float]], *, is_greedy: bool
) -> dict[str, tuple[int, Score]]:
    """By name; empty where no problem has a group."""
    by_name: dict[str, list[Sequence[float]]] = defaultdict(list)
    for problem in problems:
        if problem.group:
            by_name[problem.group].append(scores[problem.id])
    return {
        name: (len(rows), pass_at_1(rows, is_greedy=is_greedy))
        for name, rows in sorted(by_name.items())
    }


def _default_ks(samples: int) -> list[int]:
    """2, 4, 8, ..., and all."""
    powers = [1 << power for power in range(1, samples.bit_length())]
    return sorted({*powers, samples} - {1})


def _mean(values: Sequence[int]) -> float:
    return math.fsum(values) / len(values)


def _means_json(name: str, means: Mapping[int, Mean]) -> dict[str, Any]:
    return {
        name: {str(k): one.value for k, one in means.items()},
        f"{name}_interval": {str(k): [one.low, one.high] for k, one in means.items()},
    }


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "pass@1": score.value,
        "stderr_sampling": score.stderr_sampling,
        "stderr_questions": score.stderr_questions,
        "interval": [score.low, score.high],
    }
