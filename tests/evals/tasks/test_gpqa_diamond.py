"""GPQA's choices stand in an order that the seed and the row alone decide."""

from __future__ import annotations

from tests.evals.tasks.rows import SCIENCE, problems


def test_five_questions_are_asked_in_the_order_of_their_seed() -> None:
    made = problems("gpqa_diamond", SCIENCE, seed=7)
    assert [each.gold for each in made] == ["C", "C", "D", "C", "B"]
    assert made[0].prompt == (
        "Answer the following multiple choice question. The last line of your response should be of"
        " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD."
        " Think step by step before answering.\n\nWhat is 0?\n\nA) odd 0\nB) wrong 0\nC) true 0\n"
        "D) false 0"
    )
    for number, each in enumerate(made):
        assert f"{each.gold}) true {number}" in each.prompt.splitlines()
    assert made[0].extra == {
        "order": [3, 2, 0, 1],
        "choices": ("odd 0", "wrong 0", "true 0", "false 0"),
    }
    assert [(each.id, each.group) for each in made][:2] == [
        ("rec0", "Physics"),
        ("rec1", "Physics"),
    ]


def test_a_row_has_the_same_order_in_any_part_of_the_data_and_another_with_another_seed() -> None:
    whole = problems("gpqa_diamond", SCIENCE, seed=7)
    assert problems("gpqa_diamond", SCIENCE[3:], seed=7) == whole[3:]
    other = problems("gpqa_diamond", SCIENCE, seed=8)
    assert [each.gold for each in other] == ["B", "B", "D", "B", "B"]


def test_the_right_choice_stands_at_every_letter_about_as_often() -> None:
    rows = [{**SCIENCE[0], "Record ID": f"r{n}"} for n in range(400)]
    golds = [each.gold for each in problems("gpqa_diamond", rows)]
    assert all(75 <= golds.count(letter) <= 125 for letter in "ABCD")  # 100 each, sd 8.7
