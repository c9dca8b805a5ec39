"""A score below guessing is told from bad luck."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evals.chance import chance_of_so_few, chance_warning


@given(st.integers(1, 60), st.data())
def test_the_tail_is_that_of_the_binomial_distribution(questions: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, questions))
    p = Fraction(data.draw(st.integers(1, 9)), 10)
    exact = sum(comb(questions, n) * p**n * (1 - p) ** (questions - n) for n in range(right + 1))
    found = chance_of_so_few(right, questions, float(p))
    assert found == pytest.approx(float(exact), rel=1e-9)


def test_tails_that_no_float_holds_do_no_harm() -> None:
    assert chance_of_so_few(0, 14042, 0.25) == 0
    assert chance_of_so_few(14042 / 4, 14042, 0.25) == pytest.approx(0.5, abs=0.01)
    assert chance_of_so_few(3, 3, 0.25) == 1
    assert chance_of_so_few(0, 3, 1.0) == 0


def test_a_part_of_a_right_answer_counts_as_a_whole_one() -> None:
    assert chance_of_so_few(2.1, 20, 0.25) == chance_of_so_few(3, 20, 0.25)
    assert chance_of_so_few(0.1 + 0.2 + 2.7, 20, 0.25) == chance_of_so_few(3, 20, 0.25)


def test_a_score_below_chance_is_warned_of_with_both_numbers() -> None:
    rows = [[1.0]] * 6 + [[0.0]] * 74
    warning = chance_warning(rows, 0.25)
    assert warning is not None
    assert "7.5 % after 80 questions" in warning
    assert "25 %" in warning


def test_bad_luck_is_not_warned_of() -> None:
    assert chance_warning([[0.0]] * 10, 0.25) is None
    assert chance_warning([[0.0]] * 25, 0.25) is not None
    assert chance_warning([[1.0]] * 20 + [[0.0]] * 80, 0.25) is None


def test_more_samples_of_the_same_questions_prove_no_more() -> None:
    assert chance_warning([[0.0] * 50] * 10, 0.25) is None


def test_where_nothing_is_got_by_guessing_there_is_no_warning() -> None:
    assert chance_warning([[0.0]] * 500, 0.0) is None
    assert chance_warning([], 0.25) is None
