"""MMLU in a chat: lettered choices, the index of the answer as a letter, subjects as groups."""

from __future__ import annotations

import pytest

from stillhouse.evals.fields import WrongFields
from tests.evals.tasks.rows import SUBJECTS, problems


def test_five_questions_are_asked_with_their_letters() -> None:
    made = problems("mmlu", SUBJECTS[:5])
    assert [each.gold for each in made] == ["A", "B", "C", "D", "A"]
    assert made[1].prompt == (
        "Answer the following multiple choice question. The last line of your response should be of"
        " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD."
        " Think step by step before answering.\n\nWhich is number 1?\n\nA) no 1\nB) yes 1\n"
        "C) perhaps 1\nD) never 1"
    )
    assert made[1].extra == {"choices": ("no 1", "yes 1", "perhaps 1", "never 1")}
    assert {each.group for each in made} == {"us_foreign_policy", "anatomy"}


@pytest.mark.parametrize("answer", [2, "2", "C", " C "])
def test_an_answer_is_an_index_or_a_letter_and_a_type_is_a_subject(answer: int | str) -> None:
    row = {**SUBJECTS[0], "answer": answer, "type": "astronomy"}
    del row["subject"]
    (made,) = problems("mmlu", [row])
    assert (made.gold, made.group) == ("C", "astronomy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": 4}, "'answer' is '4', and none of the 4 choices"),
        ({"answer": -1}, "'answer' is '-1'"),
        ({"answer": "E"}, "'answer' is 'E'"),
        ({"choices": ["a", "b", "c"]}, "'choices' holds 3, and MMLU's questions have 4"),
        ({"choices": "abcd"}, "'choices' holds 'abcd', and has to be a list of texts"),
        ({"subject": None}, "needed are 'question', 'choices', 'answer', 'subject' or 'type'"),
    ],
)
def test_rows_that_are_no_questions_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(WrongFields, match=said):
        problems("mmlu", [{**SUBJECTS[0], **change}])
