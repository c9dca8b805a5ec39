"""AIME is asked in DeepSeek's words, and its answers are whole numbers."""

from __future__ import annotations

import pytest

from stillhouse.evals.fields import WrongFields
from stillhouse.evals.tasks import task_named
from tests.evals.tasks.rows import MATHS, problems

STEP_BY_STEP = "\nPlease reason step by step, and put your final answer within \\boxed{}."


@pytest.mark.parametrize("name", ["aime24", "aime25"])
def test_a_problem_is_asked_step_by_step_and_its_gold_has_no_leading_zeros(name: str) -> None:
    made = problems(name, MATHS)
    assert [each.prompt for each in made] == [row["problem"] + STEP_BY_STEP for row in MATHS]
    assert [each.gold for each in made] == ["2", "5", "25", "999", "0"]
    assert [each.id for each in made] == ["60", "61", "62", "63", "64"]
    assert (task_named(name).grader, task_named(name).samples) == ("mathematics", 20)


def test_an_answer_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(WrongFields, match=r"'answer' is '1\.5', and AIME's are whole numbers"):
        problems("aime24", [{"problem": "?", "answer": "1.5"}])


def test_the_prompt_that_is_shown_is_the_one_that_is_asked() -> None:
    assert task_named("aime25").prompt.format(problem="Why?") == "Why?" + STEP_BY_STEP
