"""Tables say what is known, and the sentences beside them what it means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stillhouse.evals.comparison import compare, compare_all
from stillhouse.evals.result import EvalResult
from stillhouse.evals.rows import (
    Table,
    budget_table,
    comparison_table,
    group_table,
    score_table,
)
from stillhouse.evals.sentences import (
    caption,
    comparison_notes,
    comparison_sentence,
    score_notes,
    score_sentence,
)
from stillhouse.evals.summary import summarise
from tests.evals.summaries import TASK, problems, result, samples, summary


def cells(table: Table, row: int) -> dict[str, str]:
    return dict(zip(table.headings, table.rows[row], strict=True))


def test_a_score_stands_with_both_errors_and_its_failures() -> None:
    table = score_table([result("Q4_0", "rrww", "rntl", bits_per_weight=4.5)], "sums")
    row = cells(table, 0)
    assert row["model"] == "Q4_0"
    assert row["bits"] == "4.50"
    assert (row["questions"], row["samples"]) == ("2", "4")
    assert row["pass@1"] == "37.5 %"
    assert row["± questions"] == "12.5"
    assert (row["no answer"], row["truncated"], row["looped"]) == ("1", "1", "1")
    assert (row["tok/correct"], row["time/correct"]) == ("32", "20.0 s")
    assert table.headings[0] not in [table.headings[number] for number in table.right]
    assert "size" not in table.headings  # nobody knows it


def test_what_one_result_lacks_is_a_dash() -> None:
    table = score_table([result("a", "rr", "ww"), result("b", "r", "w")], "sums")
    assert cells(table, 0)["pass@2"] == "50.0 %"
    assert cells(table, 1)["pass@2"] == "–"
    assert cells(table, 1)["± sampling"] == "–"


def test_a_result_without_the_task_has_no_row() -> None:
    assert len(score_table([result("a", "r"), EvalResult("b", "b", {})], "sums").rows) == 1
    assert score_table([EvalResult("b", "b", {})], "sums").rows == []


def test_budgets_go_from_small_to_none() -> None:
    results = [
        result(str(budget), "rw", "ww", thinking_budget=budget) for budget in (None, 4096, 256)
    ]
    table = budget_table(results, "sums")
    assert [row[1] for row in table.rows] == ["256", "4,096", "none"]
    assert cells(table, 0)["thought tok"] == "10"


def test_recovery_stands_with_its_interval_and_the_verdict() -> None:
    found = compare_all([result("Q8_0", *["rrrr"] * 40), result("Q2_K", *["rrrw"] * 40)])
    row = cells(comparison_table(found), 0)
    assert (row["model"], row["against"]) == ("Q2_K", "Q8_0")
    assert (row["recovery"], row["points"]) == ("75.0 %", "-25.0")
    assert row["verdict"].startswith("worse by 25.0 points")
    sentence = comparison_sentence(found[0])
    assert sentence.startswith("Q2_K against Q8_0, sums: worse by 25.0 points (")
    assert "recovery 75.0 % (" in sentence


def test_what_is_not_comparable_has_dashes_and_its_reason() -> None:
    found = compare(summary("r"), summary("r", "w"), a="a", b="b")
    table = comparison_table([found])
    assert table.rows == [("sums", "b", "a", "–", "–", "–", "–", found.verdict)]
    assert comparison_sentence(found) == "b against a, sums: questions differ: not comparable"
    assert list(comparison_notes([found])) == []


def test_no_difference_is_said_with_what_would_have_shown() -> None:
    found = compare(summary(*["rw", "ww"] * 9), summary(*["wr", "ww"] * 9), a="a", b="b")
    assert "points would show in 4 of 5 such runs" in comparison_sentence(found)


def test_few_questions_are_told_to_be_too_few() -> None:
    found = compare(summary(*"rrrrr"), summary(*"rrrrw"), a="a", b="b")
    told = comparison_sentence(found)
    assert told == "b against a, sums: too few questions to tell: at least 6 are needed"
    assert not any("may score nothing" in note for note in comparison_notes([found]))


def test_groups_have_a_row_each() -> None:
    made = [*samples("r", group="a"), *samples("w", "r", group="b")]
    asked = [*problems(1, group="a"), *problems(2, group="b")]
    table = group_table(summarise(TASK, asked, made, duration_s=None))
    assert [row[:3] for row in table.rows] == [("a", "1", "100.0 %"), ("b", "2", "50.0 %")]
    assert table.rows[0][4] == "–"


def test_a_score_is_never_without_its_prompt_and_version() -> None:
    lines = caption([result("a", "r")], "sums")
    assert lines == [
        "Sums (sums, version 3); made up for tests",
        r'prompt: "{question}\nSay a number."',
    ]


def test_a_prompt_is_shown_as_it_is_sent() -> None:
    boxed = replace(TASK, prompt=r"{problem} in \boxed{{}}")
    lines = caption([EvalResult("a", "tiny", {"sums": summary("r", task=boxed)})], "sums")
    assert lines[1] == r'prompt: "{problem} in \\boxed{}"'


def test_how_answers_were_drawn_is_said_once_or_of_each() -> None:
    def drawn(label: str, **options: Any) -> EvalResult:
        return EvalResult(label, "tiny", {"sums": summary("rw", "ww", options=options)})

    a = drawn("a", seed=0, temperature=0.7, top_p=0.8, max_tokens=1024)
    b = drawn("b", seed=1, temperature=0.6, context_tokens=4096, think=False)
    told = "drawn with temperature 0.7, top_p 0.8, seed 0, at most 1,024 tokens"
    assert caption([a, replace(a, label="c")], "sums")[2:] == [told]
    assert caption([a, b], "sums")[2:] == [
        f"a: {told}",
        "b: drawn with temperature 0.6, seed 1, answers as long as a context of 4,096 tokens"
        " allows, no thought",
    ]
    (note,) = [one for one in comparison_notes(compare_all([a, b])) if "not asked alike" in one]
    assert note.startswith("b against a, sums: not asked alike, temperature 0.7 and 0.6, top_p 0.8")
    same = compare_all([a, drawn("b", **a.tasks["sums"].options | {"seed": 5})])
    assert not any("not asked alike" in one for one in comparison_notes(same))
    weighed = [drawn("a", stop=[]), drawn("b", stop=[])]
    assert len(caption(weighed, "sums")) == 2
    budgets = [drawn(f"{n}", think=True, thinking_budget=n) for n in (8, 64)]
    assert compare_all(budgets)[0].differs == ()


def test_pass_at_1_of_n_is_printed_only_where_every_question_has_n() -> None:
    assert score_sentence(summary("rrww", "rrww")).startswith("pass@1:4 50.0 % (")
    ragged = score_sentence(summary("rrww", "rrw"))
    assert ragged.startswith("pass@1 58.3 % (")
    assert "if these questions were answered again" in ragged


def test_notes_say_what_the_figures_lack() -> None:
    notes = list(score_notes([result("a", "r", "w"), result("b", "rrw", "w")]))
    assert sum("one sample a question" in note for note in notes) == 1
    assert "b, sums: questions have from 1 to 3 samples, each question weighs the same" in notes
    assert list(score_notes([])) == []


def test_many_comparisons_are_warned_of_for_some_show_by_chance() -> None:
    results = [result(str(n), "rw", "wr", "ww") for n in range(7)]
    assert any(
        "of 6 comparisons at least one shows a difference by chance alone in up to 26 of 100"
        in note
        for note in comparison_notes(compare_all(results))
    )
    assert not any("by chance" in note for note in comparison_notes(compare_all(results[:3])))


def test_a_difference_of_these_questions_alone_is_said_to_be_one() -> None:
    """One question of eight is lost for certain: more than luck here, too little for others."""
    a, b = summary(*["r" * 16] * 8), summary("w" * 16, *["r" * 16] * 7)
    found = compare(a, b, a="a", b="b")
    assert found.difference is not None
    assert found.difference.stderr_sampling == 0
    assert any("on these very questions" in note for note in comparison_notes([found]))
    greedy = compare(replace(a, is_greedy=True), replace(b, is_greedy=True), a="a", b="b")
    assert not any("on these very questions" in note for note in comparison_notes([greedy]))
