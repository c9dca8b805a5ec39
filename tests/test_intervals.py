"""Student's distribution, against printed tables."""

from __future__ import annotations

import pytest

from stillhouse.intervals import Z, student_t


@pytest.mark.parametrize(
    ("freedom", "published"), [(2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (1e9, 1.960)]
)
def test_students_t_is_that_of_the_tables(freedom: float, published: float) -> None:
    assert student_t(freedom) == pytest.approx(published, rel=0.01)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert student_t(1e12) == pytest.approx(Z)
