"""Student's distribution, against printed tables and a second library."""

from __future__ import annotations

import mpmath
import pytest

from stillhouse.intervals import Z, student_t


@pytest.mark.parametrize(
    ("freedom", "published"), [(2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (1e9, 1.960)]
)
def test_students_t_is_that_of_the_tables(freedom: float, published: float) -> None:
    assert student_t(freedom) == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("freedom", [2, 3, 7.5, 29, 199])
def test_two_and_a_half_percent_of_students_distribution_lie_above(freedom: float) -> None:
    t = student_t(freedom)
    above = mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t**2), regularized=True) / 2
    assert float(above) == pytest.approx(0.025, rel=0.02)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert student_t(1e12) == pytest.approx(Z)
