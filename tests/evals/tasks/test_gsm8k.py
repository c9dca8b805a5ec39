"""GSM8K's gold is the number after the four marks."""

from __future__ import annotations

import pytest

from stillhouse.evals.fields import WrongFields
from tests.evals.tasks.rows import problems


def test_the_gold_is_the_number_after_the_marks() -> None:
    ends = {
        "#### 18": "18",
        "####1,450": "1450",
        "#### -3 ": "-3",
        "#### 0.5": "0.5",
        "####\n7": "7",
    }
    rows = [{"question": f"How many? {end}", "answer": f"2 #### 1\n{end}"} for end in ends]
    made = problems("gsm8k", rows)
    assert [each.gold for each in made] == list(ends.values())
    assert [each.prompt for each in made] == [
        f"{row['question']}\nPlease reason step by step, and put your final answer within"
        " \\boxed{}."
        for row in rows
    ]


@pytest.mark.parametrize("answer", ["18", "so 18 ####", ""])
def test_an_answer_without_a_final_number_is_refused(answer: str) -> None:
    with pytest.raises(WrongFields, match="no number after ####"):
        problems("gsm8k", [{"question": "How many?", "answer": answer}])
