"""What stands above and under an evaluation's tables, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stillhouse.evals.comparison import Comparison, option_text
from stillhouse.evals.paired import LEAST_QUESTIONS
from stillhouse.evals.result import EvalResult
from stillhouse.evals.rows import interval, percent
from stillhouse.evals.summary import TaskSummary

_MANY = 5  # comparisons, from which on one may well be shown by chance


def caption(results: Sequence[EvalResult], task: str) -> list[str]:
    """The lines above a task's scores: its name and version, whose protocol it is, the prompt as it
    is sent with line ends written as in JSON, and how answers were drawn."""
    having = [(one.label, one.tasks[task]) for one in results if task in one.tasks]
    first = having[0][1]
    template = first.prompt.replace("{{", "{").replace("}}", "}")  # as `str.format` has it
    lines = [
        f"{first.title} ({task}, version {first.version}); {first.source}",
        f"prompt: {json.dumps(template, ensure_ascii=False)}",
    ]
    drawn = [(label, _drawn(one.options)) for label, one in having]
    if len({text for _, text in drawn}) == 1:
        return [*lines, f"drawn with {drawn[0][1]}"] if drawn[0][1] else lines
    return [*lines, *(f"{label}: drawn with {text or 'nothing said'}" for label, text in drawn)]


def _drawn(options: Mapping[str, Any]) -> str:
    """`temperature 0.7, top_p 0.8, seed 0, at most 1,024 tokens`; empty where choices are weighed
    and nothing is drawn. Budgets stand in a column."""
    shown = [
        f"{name} {option_text(options[name])}"
        for name in ("temperature", "top_p", "top_k", "min_p", "seed")
        if options.get(name) is not None
    ]
    if options.get("max_tokens") is not None:
        shown.append(f"at most {options['max_tokens']:,} tokens")
    elif options.get("context_tokens") is not None:
        shown.append(f"answers as long as a context of {options['context_tokens']:,} tokens allows")
    if options.get("think") is False:
        shown.append("no thought")
    return ", ".join(shown)


def score_sentence(summary: TaskSummary) -> str:
    """`pass@1:4 62.5 % (55.6 to 68.9), maj@4 68.9 % (62.2 to 74.9), 200 questions: ±1.7 points
    if ...`. pass@1:n is written only where every question has n samples."""
    score, name = summary.score, "pass@1"
    if summary.is_complete:
        name = f"pass@1:{summary.samples}"
    errors = [
        f"±{error * 100:.1f} points {what}"
        for error, what in (
            (score.stderr_sampling, "if these questions were answered again"),
            (score.stderr_questions, "for other questions like these"),
        )
        if error is not None
    ]
    told = f": {', '.join(errors)} (standard errors)" if errors else ""
    scores = [f"{name} {percent(score.value)} ({interval(score)})"]
    if summary.maj_at:
        most = max(summary.maj_at)
        vote = summary.maj_at[most]
        scores.append(f"maj@{most} {percent(vote.value)} ({interval(vote)})")
    return f"{', '.join(scores)}, {_number(summary.questions, 'question')}{told}"


def score_notes(results: Sequence[EvalResult]) -> Iterator[str]:
    """What a reader of the scores has to know; each is said once."""
    summaries = [(result.label, one) for result in results for one in result.tasks.values()]
    if not summaries:
        return
    yield (
        "95 % intervals are for other questions like these; they hold the errors of sampling and of"
        " the choice of questions"
    )
    if any(one.score.stderr_sampling is None for _, one in summaries):
        yield (
            "one sample a question can't tell luck in sampling from hard questions: the error of"
            " sampling is in the interval, but has no figure of its own"
        )
    for label, one in summaries:
        if not one.is_complete:
            yield (
                f"{label}, {one.task}: questions have from {one.samples} to"
                f" {max(map(len, one.scores.values()))} samples, each question weighs the same"
            )
    if any(one.maj_at for _, one in summaries):
        yield (
            "maj@k is what most of k samples answer, in the mean over all sets of k; right formulas"
            " are one answer, wrong ones where they are written alike; ties count in equal shares,"
            " no answer has no vote"
        )
    for result in results:
        average = result.openllm_average
        if average is not None:
            yield (
                f"{result.label}: average of the Open LLM Leaderboard's six tasks"
                f" {percent(average[0])} (±{average[1] * 100:.1f} points, standard error)"
            )


def comparison_sentence(one: Comparison) -> str:
    """`Q4_K_M against Q8_0, gsm8k: worse by 3.1 points (1.2 to 5.0), recovery 95.2 % (...)`."""
    start = f"{one.b} against {one.a}, {one.task}: {one.verdict}"
    found = one.difference
    if found is None:
        return start
    if found.is_shown and found.recovery is not None:
        value, low, high = found.recovery
        limits = "" if low is None or high is None else f" ({low * 100:.1f} to {high * 100:.1f})"
        return f"{start}, recovery {percent(value)}{limits}"
    if not found.is_shown and found.least:
        return f"{start}; {found.least * 100:.1f} points would show in 4 of 5 such runs"
    return start


def comparison_notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What the comparisons' figures mean."""
    judged = [one.difference for one in comparisons if one.difference is not None]
    if not judged:
        return
    yield (
        "differences are taken question by question; their intervals are for other questions like"
        " these, and recovery is the ratio of the two scores (Fieller's interval)"
    )
    for one in comparisons:
        if one.differs:
            yield (
                f"{one.b} against {one.a}, {one.task}: not asked alike, {', '.join(one.differs)};"
                " the difference holds that too"
            )
    for one in filter(_moves_only_here, comparisons):
        yield (
            f"{one.b} against {one.a}, {one.task}: on these very questions the difference is more"
            " than luck in sampling, but too few show it to say so of others"
        )
    if len(judged) >= _MANY:
        yield (
            f"of {len(judged)} comparisons at least one shows a difference by chance alone in up to"
            f" {100 * (1 - 0.95 ** len(judged)):.0f} of 100 such runs, were there none"
        )
    enough = [one.difference for one in comparisons if one.questions >= LEAST_QUESTIONS]
    if any(one and one.recovery and one.recovery.high is None for one in enough):
        yield "a recovery without limits is of a baseline that may score nothing"


def _moves_only_here(one: Comparison) -> bool:
    """Sampling can't explain the difference, the choice of questions can. Where nothing is drawn,
    and the limits are one, that is said of any difference and tells nothing."""
    found = one.difference
    if found is None or found.is_shown or found.sampling_low == found.sampling_high:
        return False
    low, high = found.sampling_low, found.sampling_high
    return low is not None and high is not None and (low > 0 or high < 0)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
