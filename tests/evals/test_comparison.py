"""Runs are compared over the same questions, asked in the same way, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.comparison import compare, compare_all
from stillhouse.evals.summary import summarise
from tests.evals.summaries import TASK, problems, result, samples, summary


def test_a_comparison_has_the_names_of_the_document() -> None:
    found = compare(summary(*["rrrr"] * 40), summary(*["rrrw"] * 40), a="Q8_0", b="Q2_K").as_json()
    assert (found["a"], found["b"], found["task"]) == ("Q8_0", "Q2_K", "sums")
    assert (found["questions"], found["samples"]) == (40, 4)
    assert found["difference"] == -0.25
    assert found["low"] < -0.25 < found["high"] < 0
    assert found["recovery"] == 0.75
    assert found["recovery_low"] < 0.75 < found["recovery_high"] < 1
    assert found["verdict"].startswith("worse by 25.0 points (")


def test_questions_are_paired_by_name_and_not_by_place() -> None:
    a = summary(*"rwrwwr")
    turned = replace(a, scores=dict(reversed(list(a.scores.items()))))
    found = compare(a, turned, a="a", b="b").difference
    assert found is not None
    assert (found.value, found.stderr_questions) == (0, 0)


def test_a_verdict_counts_the_samples_of_the_smaller_run() -> None:
    found = compare(summary(*["rw", "wr"] * 3), summary(*["rwrw", "wrww"] * 3), a="a", b="b")
    assert found.samples == 2
    assert "that 12 samples can show" in found.verdict


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (summary("r", "w", "r"), "questions differ"),
        (summary("r", "w", task=replace(TASK, version=4)), "versions of the task differ"),
        (summary("r", "w", task=replace(TASK, prompt="{question}")), "prompts differ"),
        (summary("r", "w", task=replace(TASK, name="other")), "tasks differ"),
    ],
)
def test_what_was_asked_otherwise_is_not_comparable(other: object, reason: str) -> None:
    found = compare(summary("r", "w"), other, a="a", b="b")
    assert found.verdict == f"{reason}: not comparable"
    assert found.difference is found.as_json()["recovery"] is found.as_json()["low"] is None


def test_other_questions_under_the_same_ids_are_not_comparable() -> None:
    """Rows without a name are called by their number, and made ones too, whatever the seed."""
    made, others = samples("r", "w"), [replace(one, prompt="Else?") for one in problems(2)]
    a = summarise(TASK, problems(2), made, duration_s=None)
    for changed in (others, [replace(one, gold="9") for one in problems(2)]):
        found = compare(a, summarise(TASK, changed, made, duration_s=None), a="a", b="b")
        assert found.verdict == "questions differ: not comparable"
    assert compare(a, a, a="a", b="b").difference is not None


def test_every_result_is_compared_with_the_baseline() -> None:
    results = [result("Q8_0", "rr", "rw"), result("Q4_0", "rr", "ww"), result("Q2_K", "rw", "ww")]
    assert [(one.a, one.b) for one in compare_all(results)] == [("Q8_0", "Q4_0"), ("Q8_0", "Q2_K")]
    by_name = compare_all(results, "Q4_0")
    assert [(one.a, one.b) for one in by_name] == [("Q4_0", "Q8_0"), ("Q4_0", "Q2_K")]
    assert compare_all([]) == []
    with pytest.raises(UsageError, match="no result 'F16'"):
        compare_all(results, "F16")
