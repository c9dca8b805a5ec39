"""MATH-500 is asked in DeepSeek's words; its answers stay LaTeX."""

from __future__ import annotations

from tests.evals.tasks.rows import problems

ANSWERS = [r"\left( 3, \frac{\pi}{2} \right)", "p - q", r"\frac{14}{3}", "9", r"\text{Evelyn}"]


def test_answers_are_golds_as_they_are_and_levels_are_groups() -> None:
    rows = [
        {"problem": f"Find ${n}$.", "answer": answer, "subject": "Algebra", "level": n + 1}
        for n, answer in enumerate(ANSWERS)
    ]
    made = problems("math500", rows)
    assert [each.gold for each in made] == ANSWERS
    assert [each.prompt for each in made] == [
        f"Find ${n}$.\nPlease reason step by step, and put your final answer within \\boxed{{}}."
        for n in range(5)
    ]
    assert [each.group for each in made] == [f"level {n}" for n in range(1, 6)]
    assert [each.id for each in made] == ["0", "1", "2", "3", "4"]


def test_the_hubs_own_names_of_problems_are_kept() -> None:
    row = {"problem": "?", "answer": "1", "unique_id": "test/algebra/7.json"}
    (made,) = problems("math500", [row])
    assert (made.id, made.group) == ("test/algebra/7.json", "")
