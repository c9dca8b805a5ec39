"""reasoning-gym's problems are the same in every process, and so graded as what they are."""

from __future__ import annotations

import pytest

from stillhouse.errors import StillhouseError
from stillhouse.evals.grading.entries import entries
from tests.evals.grading.conftest import GradeOne

pytest.importorskip("reasoning_gym")

# Their makers walk through sets of strings, or their solvers do.
_WITH_SETS = ["isomorphic_strings", "polynomial_multiplication", "word_ladder"]


@pytest.mark.parametrize("dataset", _WITH_SETS)
def test_every_process_makes_the_problems_that_are_graded(grade: GradeOne, dataset: str) -> None:
    made = entries(dataset, 3, 10, [0, 4])
    assert made == entries(dataset, 3, 10, [0, 4])
    for index, entry in zip((0, 4), made, strict=True):
        extra = {"dataset": dataset, "seed": 3, "size": 10, "index": index}
        gold = entry.answer or ""
        found = grade("procedural", gold, f"<answer>{gold}</answer>", extra=extra)
        assert (found.verdict, found.note) == ("right", None)


def test_what_the_library_cannot_make_is_one_line() -> None:
    with pytest.raises(
        StillhouseError, match="makes no problems of 'no_such': ValueError: "
    ) as hit:
        entries("no_such", 0, 10, [0])
    assert "\n" not in hit.value.message
