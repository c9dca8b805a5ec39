from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evals.grading.conftest import GradeOne

pytest.importorskip("reasoning_gym")


def entry(dataset: str, index: int = 0, **config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    import reasoning_gym

    made = reasoning_gym.create_dataset(dataset, seed=7, size=5, **config)[index]
    extra = {"dataset": dataset, "seed": 7, "size": 5, "index": index, "config": config}
    return made, extra


@pytest.mark.parametrize(
    "form", ["<answer>{}</answer>", r"\boxed{{{}}}", "The answer is: {}", "{}"]
)
def test_an_answer_is_taken_from_its_tags_its_box_or_its_mark(grade: GradeOne, form: str) -> None:
    made, extra = entry("chain_sum", 2, min_terms=2, max_terms=3)
    answer = form.format(made["answer"])
    assert grade("procedural", made["answer"], answer, extra=extra).verdict == "right"


def test_a_part_of_the_score_is_wrong_and_told(grade: GradeOne) -> None:
    made, extra = entry("chain_sum")
    found = grade("procedural", made["answer"], f"<answer>{made['answer']}00</answer>", extra=extra)
    assert found.verdict == "wrong"
    assert found.note is not None
    assert found.note.startswith("reasoning-gym's score is 0.")


def test_the_same_entry_must_come_again(grade: GradeOne) -> None:
    made, extra = entry("chain_sum")
    found = grade("procedural", made["answer"] + "1", "<answer>1</answer>", extra=extra)
    assert found.verdict == "wrong"
    assert found.note is not None
    assert "another entry" in found.note
    other = {**extra, "question": "of another"}
    found = grade("procedural", made["answer"], f"<answer>{made['answer']}</answer>", extra=other)
    assert found.note is not None
    assert "another entry" in found.note


# Of those whose scorers hand the text to `eval`, and to sympy's parser by its several names.
_EVALUATING = ["string_insertion", "n_queens", "simple_integration", "countdown"]


@pytest.mark.parametrize("dataset", _EVALUATING)
def test_scorers_execute_nothing(grade: GradeOne, tmp_path: Path, dataset: str) -> None:
    made, extra = entry(dataset)
    gold = str(made["answer"])
    trace = tmp_path / "trace"
    for text in (
        f"__import__('os').system('touch {trace}')",
        f"open('{trace}', 'w')",
        f"[open('{trace}', 'w')]",
        f"x.__class__.__base__.__subclasses__() or open('{trace}', 'w')",
    ):
        found = grade("procedural", gold, f"<answer>{text}</answer>", extra=extra)
        assert found.verdict == "wrong"
    assert not trace.exists()


@pytest.mark.parametrize(
    "dataset", ["string_insertion", "spiral_matrix", "simple_integration", "countdown"]
)
def test_the_right_answer_is_still_right(grade: GradeOne, dataset: str) -> None:
    made, extra = entry(dataset)
    gold = str(made["answer"])
    assert grade("procedural", gold, f"<answer>{gold}</answer>", extra=extra).verdict == "right"


# Their makers or scorers hand sums of their own to `eval`.
@pytest.mark.parametrize("dataset", ["basic_arithmetic", "bitwise_arithmetic", "number_sorting"])
def test_sums_of_the_makers_own_are_computed(grade: GradeOne, dataset: str) -> None:
    made, extra = entry(dataset)
    gold = str(made["answer"])
    found = grade("procedural", gold, f"<answer>{gold}</answer>", extra=extra)
    assert (found.verdict, found.note) == ("right", None)
    wrong = grade("procedural", gold, "<answer>0x1</answer>", extra=extra)
    assert wrong.verdict == "wrong"
    assert "failed" not in (wrong.note or "")


def test_another_notation_is_right_and_told(grade: GradeOne) -> None:
    made, extra = entry("prime_factorization", 1)
    assert "×" in made["answer"]
    latex = made["answer"].replace("×", r"\times")
    found = grade("procedural", made["answer"], rf"$\boxed{{{latex}}}$", extra=extra)
    assert found.verdict == "right"
    assert found.note == f"read as {made['answer']}"


@pytest.mark.parametrize("form", ["{}.", r"\({}\)", r"\text{{{}}}", "**{}**", "{}\nso it is"])
def test_a_wrong_answer_is_right_in_no_notation(grade: GradeOne, form: str) -> None:
    made, extra = entry("chain_sum")
    wrong = form.format(int(made["answer"]) + 1)
    found = grade("procedural", made["answer"], f"The answer is: {wrong}", extra=extra)
    assert found.verdict == "wrong"


@pytest.mark.parametrize(
    ("dataset", "wrong"),
    [
        ("chain_sum", "{}\n\nWait, I left out the last term: the sum is 1 more."),
        ("chain_sum", "{}1/1"),
        ("spell_backward", "${}.x$"),
    ],
)
def test_what_means_something_else_is_wrong(grade: GradeOne, dataset: str, wrong: str) -> None:
    made, extra = entry(dataset)
    answer = f"<answer>{wrong.format(made['answer'])}</answer>"
    assert grade("procedural", str(made["answer"]), answer, extra=extra).verdict == "wrong"


def test_mathematics_is_compared_as_ever_after_it(grade: GradeOne) -> None:
    made, extra = entry("simple_integration")
    gold = str(made["answer"])
    assert grade("procedural", gold, f"<answer>{gold}</answer>", extra=extra).verdict == "right"
    assert grade("mathematics", r"(-\infty, 3]", r"$\boxed{x \le 3}$").verdict == "right"
