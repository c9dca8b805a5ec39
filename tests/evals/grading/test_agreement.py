"""Answers of models, with the verdicts that a reader gave them; benchmarks/graders.py has all."""

from __future__ import annotations

import asyncio
from typing import get_args

import graders
import pytest

from stillhouse.evals.task import GraderName


@pytest.mark.parametrize(
    ("grader", "every", "most_differing"),
    [
        ("number", 1, 0.01),
        ("strict_number", 1, 0.0),
        ("letter", 1, 0.06),
        ("mathematics", 12, 0.1),
        ("code", 12, 0.0),
        ("procedural", 3, 0.06),
    ],
)
def test_graders_agree_with_a_reader(grader: GraderName, every: int, most_differing: float) -> None:
    rows = graders.rows_of(grader)[::every]
    given = asyncio.run(graders.grades(grader, rows))
    differing = [
        (row["answer"][-100:], row["verdict"], grade)
        for row, grade in zip(rows, given, strict=True)
        if row["verdict"] != grade.verdict
    ]
    assert len(differing) <= most_differing * len(rows), differing


@pytest.mark.parametrize("grader", get_args(GraderName))
def test_there_are_enough_answers_of_each_kind(grader: GraderName) -> None:
    rows = graders.rows_of(grader)
    assert sum(row["origin"] == "model" for row in rows) >= 200
    for verdict in ("right", "wrong", "truncated"):
        assert sum(row["verdict"] == verdict for row in rows) >= 1
