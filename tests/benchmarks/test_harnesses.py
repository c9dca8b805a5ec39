"""How harnesses are set beside `still eval`; running them is `benchmarks/harnesses.py`'s."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_questions import Asked, Questions, questions, subject_of
from harness_table import comparison, line, markdown

from stillhouse.evals.sample import Sample
from stillhouse.evals.task import Problem, Row
from stillhouse.evals.tasks import task_named


def mmlu_row(subject: str, number: int) -> Row:
    choices = [f"{number}{letter}" for letter in "abcd"]
    return {"question": f"{subject} {number}?", "type": subject, "choices": choices, "answer": 1}


def written(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sample(problem: str, score: float, answer: str, likelihoods: tuple[float, ...] = ()) -> Sample:
    return Sample(
        task="gsm8k", problem=problem, number=0, seed=0, verdict="right" if score else "wrong",
        score=score, extracted=answer, note=None, reasoning="", answer=answer,
        finish_reason="stop", thinking_end="none", prompt_tokens=1, reasoning_tokens=0,
        answer_tokens=1, loglikelihoods=likelihoods,
    )  # fmt: skip


def asked_of(number: int) -> Questions:
    problems = [Problem(str(n), f"{n}?", str(n)) for n in range(number)]
    return Questions(task_named("gsm8k"), Path(), [], [], problems)


def test_no_example_is_ever_asked_and_subjects_stay_together(tmp_path: Path) -> None:
    rows = [mmlu_row(s, n) for n in range(8) for s in ("virology", "anatomy")]
    file = written(tmp_path / "mmlu.jsonl", [*rows, mmlu_row("law", 0)])
    found = questions("openllm_mmlu", file, 5, tmp_path / "work")
    assert [subject_of(row) for row in found.rows] == ["anatomy"] * 2 + ["virology"] * 3
    assert not [row for row in found.rows if row in found.shots]
    examples = [row for row in found.shots if subject_of(row) == "anatomy"]
    assert [row["question"] for row in examples] == [f"anatomy {n}?" for n in range(3, 8)]
    for problem, row in zip(found.problems, found.rows, strict=True):
        assert row["question"] in problem.prompt


def test_examples_of_gsm8k_come_from_behind_its_questions(tmp_path: Path) -> None:
    rows: list[Row] = [{"question": f"Q{n}?", "answer": f"It is.\n#### {n}"} for n in range(20)]
    found = questions("openllm_gsm8k", written(tmp_path / "g.jsonl", rows), 3, tmp_path / "work")
    assert (list(found.rows), list(found.shots)) == (rows[:3], rows[3:])
    assert found.problems[0].prompt.count("Question:") == 6


def test_what_was_graded_differently_is_listed_with_both_answers() -> None:
    theirs = [Asked("0?", "0", 1.0), Asked("1?", "one", 0.0), Asked("2", "2", 1.0)]
    ours = [sample("0", 1.0, "0"), sample("1", 1.0, "1"), sample("2", 1.0, "2")]
    cell = comparison(asked_of(3), theirs, ours)
    assert (cell["same_prompt"], cell["same_answer"], cell["same_grade"]) == (2, 2, 2)
    assert cell["difference"] == pytest.approx(-1 / 3)
    (differing,) = cell["differing"]
    assert (differing["harness_answer"], differing["own_answer"]) == ("one", "1")


def test_a_harness_that_fails_everywhere_does_not_agree() -> None:
    # As one that takes refusals for empty answers: many questions leave no room for chance.
    number = 40
    ours = [sample(str(n), 1.0, str(n)) for n in range(number)]
    cell = comparison(asked_of(number), [Asked(f"{n}?", "", 0.0) for n in range(number)], ours)
    assert not cell["agrees"]
    assert cell["empty_answers"] == number
    right = [Asked(f"{n}?", str(n), 1.0) for n in range(number)]
    assert comparison(asked_of(number), right, ours)["agrees"]


def test_likelihoods_are_set_side_by_side_and_shown() -> None:
    theirs = [Asked("0?", "a", 1.0, (-1.0, -2.5)), Asked("1?", "a", 1.0, (-1.0, -2.0))]
    ours = [sample("0", 1.0, "a", (-1.0, -2.0)), sample("1", 1.0, "a", (-1.0, -2.0))]
    cell = comparison(asked_of(2), theirs, ours)
    assert cell["largest_likelihood_difference"] == 0.5
    cell |= {"harness": "lm_eval", "version": "1", "client": "c", "duration_s": 1.0}
    cell |= {"own_duration_s": 1.0}
    assert "of 2: same prompt 2" in line(cell)
    machine = {"cpu": "c", "physical_cores": 2}
    document = {"model": "m", "machine": machine, "date": "d", "users": 1}
    table = markdown(document | {"results": [cell]})
    assert "| 100.0 % ± 0.0 |" in table
    assert "by at most 0.5" in table
