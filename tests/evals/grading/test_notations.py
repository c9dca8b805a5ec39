from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evals.grading.notations import notations


@pytest.mark.parametrize(
    ("text", "gold", "meant"),
    [
        ("45.", "45", "45"),
        (r"\(\frac{3}{8}\)", "0.375", "0.375"),
        (r"$-\dfrac{3}{8}$", "-0.375", "-0.375"),
        (r"\frac{3}{8}", "3/8", "3/8"),
        ("3/8", "0.375", "0.375"),
        (r"2 \times 5 \times 17", "2 × 5 × 17", "2 × 5 × 17"),
        (r"\text{True}", "True", "True"),
        (r"\(\text{True}\).", "True", "True"),
        ("**Yes.**", "Yes", "Yes"),
        ("$12$", "12", "12"),
        ("-97.18, 78.0", "['-97.18', '78.0']", "['-97.18', '78.0']"),
        ("[-51.4766, -54]", "['-51.4766', '-54']", "['-51.4766', '-54']"),
        (r"2X^9 - \frac{1}{2}X^{8} + X + C", "", "2*X**9 - ((1)/(2))*X**(8) + X + C"),
        (r"3(x + 1)\left(x - 2\right)", "", "3*(x + 1)*(x - 2)"),
        (r"4 \cdot x", "", "4 * x"),
    ],
)
def test_what_is_meant_is_among_the_notations(text: str, gold: str, meant: str) -> None:
    forms = list(notations(text, gold))
    assert forms[0] == text
    assert meant in forms


@pytest.mark.parametrize(
    ("text", "not_meant"),
    [
        (r"X^\frac{3}{2} + C", "X**(3)/(2) + C"),  # a power of 1.5, and not half of a cube
        (r"8/\frac{1}{3}", "8/(1)/(3)"),
        ("1 1/2", "5.5"),
        (r"1\frac{1}{2}", "0.5"),
        (r"1 \frac{1}{2}", "1*((1)/(2))"),
        ('{"a": "$5"}', '{"a": "5"}'),
        ("12\nNo, 17.", "12"),
        ("2\nx", "2*x"),
        ("1 2 3\n4 5 6", "1 2 3"),
        ("...", ""),
    ],
)
def test_what_means_something_else_is_not(text: str, not_meant: str) -> None:
    assert not_meant not in list(notations(text, "1"))


@given(st.text(max_size=200), st.sampled_from(["1", "['a', 'b']", "0.5"]))
def test_any_text_has_a_few_notations_each_once(text: str, gold: str) -> None:
    forms = list(notations(text, gold))
    assert len(forms) == len(set(forms)) <= 16
    assert all(forms)


@given(st.integers(-999, 999), st.sampled_from(["{}.", r"\({}\)", r"\text{{{}}}", "**{}**"]))
def test_a_number_stays_the_number_that_it_is(number: int, form: str) -> None:
    for each in notations(form.format(number), "7"):
        assert re.findall(r"-?\d+", each) == [str(number)]


def test_a_fraction_by_nothing_has_no_decimals() -> None:
    assert list(notations("1/0", "0.5")) == ["1/0"]


def test_what_is_long_is_read_as_it_stands() -> None:
    text = "$" * 3000
    assert list(notations(text, "1")) == [text]
