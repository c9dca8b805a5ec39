"""Headings and rows of an evaluation's tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stillhouse.evals.comparison import Comparison
from stillhouse.evals.result import EvalResult
from stillhouse.evals.statistics import Mean, Score
from stillhouse.evals.summary import TaskSummary
from stillhouse.units import format_bytes, format_seconds

NOT_AVAILABLE = "–"


class Table(NamedTuple):
    """Texts; columns numbered in `right` are flush right."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    """`text` is None where a result has nothing to print; a column of nothing else is left out."""

    heading: str
    text: Callable[[EvalResult, TaskSummary], str | None]
    is_right: bool = True


def score_table(results: Sequence[EvalResult], task: str) -> Table:
    """A row for each result that has the task: score, both errors, how answers failed, costs."""
    return _table(_scores_of(results, task), _score_columns(_scores_of(results, task)))


def budget_table(results: Sequence[EvalResult], task: str) -> Table:
    """Accuracy against the thinking budget: a row a result, each model's from the smallest budget
    to none."""
    pairs = sorted(_scores_of(results, task), key=_model_and_budget)
    return _table(pairs, _BUDGET_COLUMNS)


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """What is left of the baseline's score, and the difference that the verdict is of."""
    headings = (
        "task", "model", "against", "recovery", "95 %", "points", "95 %", "verdict",
    )  # fmt: skip
    return Table(headings, [_comparison_row(one) for one in comparisons], (3, 4, 5, 6))


def group_table(summary: TaskSummary) -> Table:
    """A row for each group, as MMLU's subjects."""
    rows = [
        (name, f"{questions:,}", percent(score.value), interval(score), _points(score, "questions"))
        for name, (questions, score) in summary.groups.items()
    ]
    headings = ("group", "questions", "pass@1", "95 %", "± questions")
    return Table(headings, [_filled(row) for row in rows], (1, 2, 3, 4))


def percent(share: float) -> str:
    """0.625 → '62.5 %'."""
    return f"{share * 100:.1f} %"


def interval(score: Score | Mean) -> str:
    """'55.6 to 68.9', in percent."""
    return f"{score.low * 100:.1f} to {score.high * 100:.1f}"


def _comparison_row(one: Comparison) -> tuple[str, ...]:
    found = one.difference
    recovery = None if found is None else found.recovery
    limits = None
    if recovery is not None and recovery.low is not None and recovery.high is not None:
        limits = f"{recovery.low * 100:.1f} to {recovery.high * 100:.1f}"
    return _filled(
        (
            one.task,
            one.b,
            one.a,
            None if recovery is None else percent(recovery.value),
            limits,
            None if found is None else f"{found.value * 100:+.1f}",
            None if found is None else f"{found.low * 100:+.1f} to {found.high * 100:+.1f}",
            one.verdict,
        )
    )


def _scores_of(results: Iterable[EvalResult], task: str) -> list[tuple[EvalResult, TaskSummary]]:
    return [(result, result.tasks[task]) for result in results if task in result.tasks]


def _model_and_budget(pair: tuple[EvalResult, TaskSummary]) -> tuple[str, str, float]:
    result = pair[0]
    budget = result.thinking_budget
    return result.model, result.quantization or "", float("inf") if budget is None else budget


def _table(pairs: Sequence[tuple[EvalResult, TaskSummary]], columns: Sequence[_Column]) -> Table:
    texts = [[column.text(*pair) for pair in pairs] for column in columns]
    shown = [number for number, column in enumerate(texts) if any(column)]
    rows = zip(*(texts[number] for number in shown), strict=True)
    return Table(
        tuple(columns[number].heading for number in shown),
        [_filled(row) for row in rows],
        tuple(place for place, number in enumerate(shown) if columns[number].is_right),
    )


def _score_columns(pairs: Sequence[tuple[EvalResult, TaskSummary]]) -> list[_Column]:
    """With a column for each k that a result has."""
    pass_ks = sorted({k for _, summary in pairs for k in summary.pass_at})
    maj_ks = sorted({k for _, summary in pairs for k in summary.maj_at})
    return [
        *_SCORE_COLUMNS,
        *(_Column(f"pass@{k}", _pass_at(k)) for k in pass_ks),
        *(_Column(f"maj@{k}", _maj_at(k)) for k in maj_ks),
        *_COUNT_COLUMNS,
    ]


def _pass_at(k: int) -> Callable[[EvalResult, TaskSummary], str | None]:
    return lambda _, summary: _mean(summary.pass_at.get(k))


def _maj_at(k: int) -> Callable[[EvalResult, TaskSummary], str | None]:
    return lambda _, summary: _mean(summary.maj_at.get(k))


def _mean(mean: Mean | None) -> str | None:
    return None if mean is None else percent(mean.value)


def _points(score: Score, which: str) -> str | None:
    error = score.stderr_sampling if which == "sampling" else score.stderr_questions
    return None if error is None else f"{error * 100:.1f}"


def _tokens(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _seconds(value_s: float | None) -> str | None:
    return None if value_s is None else format_seconds(value_s)


def _budget(result: EvalResult, _: TaskSummary) -> str | None:
    return None if result.thinking_budget is None else f"{result.thinking_budget:,}"


def _filled(row: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(NOT_AVAILABLE if text is None else text for text in row)


_PASS_1 = (
    _Column("pass@1", lambda _, summary: percent(summary.score.value)),
    _Column("95 %", lambda _, summary: interval(summary.score)),
)
_THOUGHT = _Column("thought tok", lambda _, summary: _tokens(summary.mean_reasoning_tokens))
_TOKENS_EACH = _Column("tok/correct", lambda _, summary: _tokens(summary.tokens_per_correct))
_SECONDS_EACH = _Column("time/correct", lambda _, summary: _seconds(summary.seconds_per_correct))
_TRUNCATED = _Column("truncated", lambda _, summary: f"{summary.verdicts.get('truncated', 0):,}")

_SCORE_COLUMNS: tuple[_Column, ...] = (
    _Column("model", lambda result, _: result.label, is_right=False),
    _Column(
        "bits",
        lambda result, _: (
            None if result.bits_per_weight is None else f"{result.bits_per_weight:.2f}"
        ),
    ),
    _Column(
        "size",
        lambda result, _: None if result.file_bytes is None else format_bytes(result.file_bytes),
    ),
    _Column("budget", _budget),
    _Column("questions", lambda _, summary: f"{summary.questions:,}"),
    _Column("samples", lambda _, summary: f"{summary.samples:,}"),
    *_PASS_1,
    _Column("± sampling", lambda _, summary: _points(summary.score, "sampling")),
    _Column("± questions", lambda _, summary: _points(summary.score, "questions")),
)

_COUNT_COLUMNS: tuple[_Column, ...] = (
    _Column("no answer", lambda _, summary: f"{summary.verdicts.get('no_answer', 0):,}"),
    _TRUNCATED,
    _Column("looped", lambda _, summary: f"{summary.verdicts.get('looped', 0):,}"),
    _THOUGHT,
    _Column("answer tok", lambda _, summary: _tokens(summary.mean_answer_tokens)),
    _TOKENS_EACH,
    _SECONDS_EACH,
)

_BUDGET_COLUMNS: tuple[_Column, ...] = (
    _Column("model", lambda result, _: result.label, is_right=False),
    _Column("budget", lambda result, summary: _budget(result, summary) or "none"),
    *_PASS_1,
    _THOUGHT,
    _TRUNCATED,
    _TOKENS_EACH,
    _SECONDS_EACH,
)
