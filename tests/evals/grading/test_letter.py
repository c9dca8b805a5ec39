from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evals.grading.letter import find

CHOICES = ("Gamma rays", "A red giant", "CCl4", "None of these")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        ("C.", "C"),
        ("(C)", "C"),
        ("**C**", "C"),
        ("Answer: C", "C"),
        ("Answer: (c)", "C"),
        ("answer: c", "C"),
        ("**Answer:** C", "C"),
        ("**Answer: C**", "C"),
        ("The answer is C.", "C"),
        ("The correct answer is:\n\n**C) CCl4**", "C"),
        ("The answer is $\\boxed{C}$.", "C"),
        (r"\boxed{\text{C}}", "C"),
        (r"\boxed{C. CCl4}", "C"),
        (r"\boxed{c}", "C"),
        (r"\[\boxed{C}\]", "C"),
        ("Answer: A\nNo, wait.\nAnswer: B", "B"),
        ("Option D is correct.", "D"),
        ("C) is the correct choice.", "C"),
        ("C. CCl4\n\nIt has no dipole.", "C"),
        ("Explanation.\n\nB", "B"),
        ("I choose **(B)**, a star", "B"),
        ("CCl4", "C"),
        ("a red giant.", "B"),
        ("The answer is: None of these.", "D"),
        ("The answer is A because of that.", "A"),
        ("The answer is a good one.", None),
        ("The reason lies in gamma rays.", "A"),
        ("It is not a giant.", None),
        ("Not CCl4, but gamma rays", None),
        ("Let us look at each option:\n\nA. Gamma\nB. Red", None),
        ("The correct star is:\n\nB) A red giant\n\nSince A is none", "B"),
        ("It must be A.", "A"),
        ("I would go with B.", "B"),
        ("<answer>C</answer>", "C"),
        ("答案：C", "C"),
        ("c", "C"),
        ("A star shines.", None),
        ("I think it is a lamp.", None),
        ("A. wrong\nB. wrong\nC. right\nso one of them", None),
        ("The answer is CO2, a gas.", None),
        ("Answer: E", None),  # there are four
    ],
)
def test_a_letter_is_found_however_it_is_written(answer: str, letter: str | None) -> None:
    assert find(answer, CHOICES, ended=True) == letter


def test_an_answer_that_was_cut_off_must_have_said_which() -> None:
    assert find("Let us see:\nA. Gamma", CHOICES, ended=False) is None
    assert find("Answer: B. Because of", CHOICES, ended=False) == "B"


def test_the_text_of_two_choices_is_no_answer() -> None:
    assert find("same", ("same", "same", "other"), ended=True) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert find(text, CHOICES, ended=True) in {None, "A", "B", "C", "D"}


@given(st.sampled_from("ABCD"), st.sampled_from(["Answer: {}", "**{}**", "\\boxed{{{}}}", "({})"]))
def test_words_around_do_not_change_the_letter(letter: str, form: str) -> None:
    answer = f"A thought about I and a cat.\n\n{form.format(letter)}\n"
    assert find(answer, CHOICES, ended=True) == letter
