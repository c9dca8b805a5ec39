from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evals.grading import number


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (r"She has \boxed{18} eggs, of 20.", "18"),
        (r"\boxed{\$1,234.00}", "1234"),
        (r"\boxed{1{,}234}", "1234"),
        (r"\boxed{18\text{ dollars}}", "18"),
        (r"\boxed{\text{18 dollars}}", "18"),
        (r"\boxed{50\%}", "50"),
        (r"\boxed{x = 5}", "5"),
        (r"\boxed{2 \times 9 = 18}", "18"),
        (r"\boxed{\frac{3}{4}}", "0.75"),
        (r"\boxed{1/3}", "1/3"),
        (r"\boxed{2 1/2}", "2.5"),
        (r"\boxed{-7}", "-7"),
        (r"\boxed{none}, so 4", "4"),
        ("The answer is $18, for 3 days.", "18"),
        ("**Answer:** 5 + 4 = 9 days", "9"),
        ("He needs 3.\n#### 12", "12"),
        ("It is 5-3, which is 2.", "2"),
        ("12-20", "20"),
        ("minus: -.5", "-0.5"),
        ("Costs $1,000,000!", "1000000"),
        ("In 1,23 he", "23"),
        ("*$ 7.50*", "7.5"),
        ("no number", None),
        (r"\boxed{1800 \text{ ft}^2}", "1800"),
        (r"\boxed{36 \, m^2}", "36"),
        (r"\boxed{120 \text{ cm}^3}", "120"),
        (r"\boxed{8 \text{ m/s}^2}", "8"),
        ("so 15 cm^2", "15"),
        (r"\boxed{12 = 3 \times 4}", "12"),
        (r"\boxed{12 = 3 * 4}", "12"),
        (r"\boxed{3 \times 4 = 12}", "12"),
        (r"\boxed{12 = 20 - 8}", "12"),
        (r"\boxed{\$20 \text{ for } 3 \text{ days}}", "20"),
        (r"\boxed{624 \text{ pages per 52 weeks}}", "624"),
        (r"\boxed{3 \text{ out of } 4}", "3"),
        (r"\boxed{\text{There are 14 days in 2 weeks}}", "14"),
        (r"\boxed{\text{Day 3: } 45}", "45"),
        (r"\boxed{1 234}", "1234"),
        (r"\boxed{1\,234}", "1234"),
        (r"\boxed{1~234}", "1234"),
        (r"\boxed{5:00 \text{ PM}}", "5"),
        (r"\boxed{3:00}", "3:00"),
        (r"\boxed{1234,00}", "1234,00"),
        (r"The answer is \boxed{73}. I put it in \boxed{} as asked.", "73"),
        (r"\boxed{4}, \boxed{5}", "5"),
        ("The answer is 7 since x = 3", "7"),
        ("The answer is 7. Check: 7 + 3 = 10", "7"),
        ("The answer is -$5", "-5"),
        ("The answer is $-5", "-5"),
        ("Answer: After 5 days, John has 10 apples left.", "10"),
        ("Answer: In 1,000 days, he has 3 left", "3"),
        ("Answer: John has 10 apples left after 5 days.", "10"),
        ("**Answer: 12 = 3 * 4**", "12"),
    ],
)
def test_a_number_is_found_however_it_is_written(answer: str, value: str | None) -> None:
    assert number.find(answer, ended=True) == value


def test_the_last_number_of_an_answer_that_was_cut_off_is_no_answer() -> None:
    assert number.find("5 eggs times 3 is", ended=False) is None
    assert number.find(r"so \boxed{15}. And then 3", ended=False) == "15"


@given(st.integers(-(10**12), 10**12), st.integers(0, 4), st.booleans())
def test_a_number_is_the_same_with_separators_and_zeros(
    units: int, places: int, separated: bool
) -> None:
    value = Fraction(units, 10**places)
    written = f"{'-' if units < 0 else ''}{abs(units) // 10**places:{',' if separated else ''}}"
    written += f".{abs(units) % 10**places:0{places}d}00" if places else ""
    found = number.find(f"\\boxed{{{written}}}", ended=True)
    assert found is not None
    assert Fraction(found) == value


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    number.find(text, ended=True)
    number.strict(text)


def test_a_number_of_a_million_digits_is_not_computed_with() -> None:
    assert number.find("9" * 1_000_000, ended=True) == "1000000 digits"
    assert not number.same("1000000 digits", "9")


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("so 18\n#### 18", "18", True),
        ("#### 18.", "18", True),
        ("#### 1,234", "1234", True),
        ("#### 18.00", "18", False),  # compared as text
        ("#### 18\n#### 19", "18", True),  # the first counts
        ("#### -5", "She has -5.\n#### -5", True),
        ("#### 3", "4", False),
    ],
)
def test_strict_numbers_are_compared_as_lm_eval_does(answer: str, gold: str, right: bool) -> None:
    found = number.strict(answer)
    assert found is not None
    assert number.is_strictly(found, gold) == right


@pytest.mark.parametrize("answer", ["18", "####18", "#### $18", "### 18", "\\boxed{18}"])
def test_a_strict_number_has_its_mark_before_it(answer: str) -> None:
    assert number.strict(answer) is None
