"""Examples are those that lm-eval draws; the numbers here are what its 0.4.13 gave."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.tasks.few_shot import drawn, shown

POOL = [{"n": n} for n in range(7)]
DRAWN = [[6, 3, 0, 4, 5], [6, 4, 0, 5, 3], [6, 2, 1, 0, 3], [6, 0, 2, 3, 4], [3, 1, 0, 5, 2]]


def numbers(count: int, num_problems: int) -> list[list[int]]:
    return [[row["n"] for row in each] for each in drawn("a task", POOL, count, num_problems)]


def test_each_problem_has_the_examples_that_lm_eval_draws_for_its_number() -> None:
    assert numbers(5, 5) == DRAWN


def test_a_larger_limit_changes_no_examples_of_the_first_problems() -> None:
    assert numbers(5, 2) == DRAWN[:2]


def test_examples_are_parted_as_lm_eval_parts_them() -> None:
    assert shown([("Q: 1?\nA:", "one"), ("Q: 2?\nA:", "two")]) == (
        "Q: 1?\nA: one\n\nQ: 2?\nA: two\n\n"
    )


def test_too_few_rows_for_the_examples_are_said_with_both_numbers() -> None:
    with pytest.raises(UsageError, match=r"a task shows 8 examples .* there are 7 rows") as hit:
        drawn("a task", POOL, 8, 1)
    assert "--shots-data" in str(hit.value.hint)
