from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evals.grading.letter import find

CHOICES = ("Gamma rays", "A red giant", "CCl4", "None of these")


CITIES = ("Paris", "London", "Rome", "Berlin")


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


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Unlike option A, option B is correct.", "B"),
        ("It is not A. Therefore, B is correct.", "B"),
        ("We can rule out options A, C and D. B is correct.", "B"),
        ("Options A and D are wrong, so B is the answer.", "B"),
        ("Between options B and C, C is more accurate, so C is the best answer.", "C"),
        ("Answer: B\n\nOptions A, C, and D are incorrect because only B is correct.", "B"),
        ("Answer: D\n\nNone of A, B, C is true.", "D"),
        ("The correct answer is C. The right side is A.", "C"),
        ("The answer can't be A. Only B fits.", "B"),
        ("The answer cannot be A. So option B is correct.", "B"),
        ("The answer is not A but B.", "B"),
        ("The answer isn't A, it is B.", "B"),
        ("If A is wrong then B is correct.", "B"),
        ("A is wrong and B is correct.", "B"),
        ("B. A red giant is the correct answer.", "B"),
        ("The answer is D, and C is wrong.", "D"),
        ("The answer is C, not D.", "C"),
        ("There is no doubt that the answer is B", "B"),
        ("As x is not 0 the answer is B", "B"),
        ("None of A, B, C is true.", None),
        ("Neither A nor B is correct.", None),
        ("I don't think B is correct.", None),
        ("I am not sure whether the answer is A", None),
        ("The incorrect option is A.", None),
        ("The answer can't be A.", None),
        ("It is not A.", None),
        ("A star is the right one.", None),
    ],
)
def test_what_is_said_of_other_choices_does_not_change_the_answer(
    answer: str, letter: str | None
) -> None:
    assert find(answer, CITIES, ended=True) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        (r"\boxed{B London}", "B"),
        (r"\boxed{B - London}", "B"),
        (r"\boxed{B \text{ London}}", "B"),
        (r"\boxed{D\ \text{Berlin}}", "D"),
        (r"\boxed{A Paris}", "A"),
        (r"\boxed{A Rome}", None),
        (r"\boxed{A star}", None),
        (r"\boxed{\text{London}}", "B"),
        (r"\boxed{C + D}", None),
        ("Answer: 'B'", "B"),
        ("The answer is “D”.", "D"),
        (r"Answer: $\textrm{B}$", "B"),
        (r"Answer: \textit{B}", "B"),
        ("正确答案是C", "C"),
        ("故选C。", "C"),
        ("答案选C。", "C"),
        ("不选A，故选B。", "B"),
    ],
)
def test_quotes_fonts_and_the_text_of_the_choice_may_stand_beside_the_letter(
    answer: str, letter: str | None
) -> None:
    assert find(answer, CITIES, ended=True) == letter


@pytest.mark.parametrize(
    "answer",
    [
        r"\boxed{B, C}",
        r"\boxed{A}, \boxed{B}",
        r"\boxed{\text{A or B}}",
        "Answer: A and B",
        "Answer: **A** and **B**",
        "Answer: A/B",
        "The answer is D or C",
        "A or B is correct.",
        "It fits (A) and (B).",
        "It is A or B.",
    ],
)
def test_who_names_two_letters_settles_on_none(answer: str) -> None:
    assert find(answer, CITIES, ended=True) is None


def test_two_letters_may_be_the_text_of_a_choice() -> None:
    choices = ("x", "y", "A and B", "z")
    assert find("Answer: A and B", choices, ended=True) == "C"
    assert find(r"\boxed{\text{A and B}}", choices, ended=True) == "C"


def test_the_last_announcement_of_one_letter_counts() -> None:
    answer = "The answer is either A or B. As x = 3, the answer is B."
    assert find(answer, CITIES, ended=True) == "B"


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
