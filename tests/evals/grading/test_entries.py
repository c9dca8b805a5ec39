"""reasoning-gym's problems are the same in every process, and so graded as what they are."""

from __future__ import annotations

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evals.grading.entries import entries, question_hash
from tests.evals.grading.conftest import GradeOne

pytest.importorskip("reasoning_gym")

# The maker of one walks through a set of strings, the solver of the other.
_WITH_SETS = ["isomorphic_strings", "word_ladder"]


@pytest.mark.parametrize("dataset", _WITH_SETS)
def test_every_process_makes_the_problems_that_are_graded(grade: GradeOne, dataset: str) -> None:
    (made,) = entries(dataset, 3, 10, [4])
    extra = {"dataset": dataset, "seed": 3, "size": 10, "index": 4}
    extra["question"] = question_hash(made.question)
    gold = made.answer or ""
    found = grade("procedural", gold, f"<answer>{gold}</answer>", extra=extra)
    assert (found.verdict, found.note) == ("right", None)


def test_what_the_library_cannot_make_is_one_line() -> None:
    with pytest.raises(
        StillhouseError, match="makes no problems of 'no_such': ValueError: "
    ) as hit:
        entries("no_such", 0, 10, [0])
    assert "\n" not in hit.value.message


def test_what_takes_too_long_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.evals.grading.entries._TIME_LIMIT_S", 0.01)
    with pytest.raises(StillhouseError, match="has made no problems of 'chain_sum' in 0 s"):
        entries("chain_sum", 0, 10, [0])
