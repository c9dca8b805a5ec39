"""Rows as the data sets have them, a few of each, written for these tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stillhouse.evals.task import Problem, Row
from stillhouse.evals.tasks import task_named

MATHS: list[dict[str, Any]] = [
    {"id": 60, "problem": "What is $1+1$?", "answer": "002"},
    {"id": 61, "problem": "What is $\\frac{10}{2}$?", "answer": "5"},
    {"id": 62, "problem": "Find {x}.", "answer": 25},
    {"id": 63, "problem": "Count to 999.", "answer": "999"},
    {"id": 64, "problem": "What is nothing?", "answer": "000"},
]

WORDED: list[dict[str, Any]] = [
    {"question": f"Ann has {n} eggs and buys {n}. How many?", "answer": f"{n}+{n}\n#### {2 * n}"}
    for n in range(1, 13)
]

SUBJECTS: list[dict[str, Any]] = [
    {
        "question": f" Which is number {n}? ",
        "subject": ("us_foreign_policy", "anatomy")[n % 2],
        "choices": [f"no {n}", f"yes {n}", f"perhaps {n}", f"never {n}"],
        "answer": n % 4,
    }
    for n in range(12)
]

SCIENCE: list[dict[str, Any]] = [
    {
        "Record ID": f"rec{n}",
        "Question": f"What is {n}?\n",
        "Correct Answer": f"true {n}\n",
        "Incorrect Answer 1": f"false {n}",
        "Incorrect Answer 2": f"wrong {n}",
        "Incorrect Answer 3": f"odd {n}",
        "High-level domain": "Physics",
    }
    for n in range(5)
]

SCHOOL: list[dict[str, Any]] = [
    {
        "id": f"Mercury_{n}",
        "question": f"What falls {n} times?",
        "choices": {"text": [f"a stone {n}", "smoke", "light"], "label": ["A", "B", "C"]},
        "answerKey": "ABC"[n % 3],
    }
    for n in range(26)
]

SCENES: list[dict[str, Any]] = [
    {
        "ind": 4,
        "activity_label": "Roof work",
        "ctx_a": f"[header] How to mend {n} roofs [title] Climb.  [step] Go up.",
        "ctx_b": "he Then",
        "endings": [f"climbs {n} [substeps] steps.", "sings.", "eats [step]  it.", "falls."],
        "label": str(n % 4),
    }
    for n in range(12)
]

SENTENCES: list[dict[str, Any]] = [
    {
        "sentence": f"Ann beat Bob at {n} games because _ had trained.",
        "option1": "Ann",
        "option2": "Bob",
        "answer": "12"[n % 2],
    }
    for n in range(7)
]

MYTHS: list[dict[str, Any]] = [
    {
        "question": f"What are {n} stars made of?",
        "mc1_targets": {"choices": ["Gas.", "Fire."], "labels": [1, 0]},
        "mc2_targets": {
            "choices": ["Hot gas", "Fire", "Plasma", f"{n} coals"],
            "labels": [n % 2, 0, 1, 0],
        },
    }
    for n in range(5)
]


def problems(
    name: str, rows: Sequence[Row], shots: Sequence[Row] = (), seed: int = 0
) -> list[Problem]:
    """What the task makes of the rows."""
    return task_named(name).problems(rows, shots, seed)
