from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.evals.grading.boxes import last_boxed, plain


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so $\boxed{5}$.", "5"),
        (r"\boxed{4}, no: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"first \boxed{4}. Then \boxed{6", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{7}}", "{7}"),
        (r"\fbox{3} then \boxed {8}", "8"),
        (r"\boxed 9.", "9"),
        (r"x = \boxed{1} or x = \boxed{2}", "1, 2"),
        (r"x=\boxed{1} and x=\boxed{2}", "1, 2"),
        (r"x_1 = \boxed{1}, x_2 = \boxed{2}", "1, 2"),
        (r"x = \boxed{1}, y = \boxed{2}", "2"),
        (r"\(\boxed{1}\) and \(\boxed{2}\)", "1, 2"),
        (r"\boxed{1} \quad \text{or} \quad \boxed{2}", "1, 2"),
        (r"$\boxed{1}$, \text{ and } $\boxed{2}$", "1, 2"),
        (r"**\boxed{1}** and **\boxed{2}**", "1, 2"),
        ("\\[\\boxed{1}\\]\nand\n\\[\\boxed{2}\\]", "1, 2"),
        (r"\boxed{1}. And \boxed{2}", "2"),
        (r"\boxed{1} \boxed{2}", "2"),
        (r"The answer is \boxed{73}. I put it in \boxed{} as asked.", "73"),
        (r"\boxed{5}\boxed{}", "5"),
        (r"\boxed{5} and \boxed{ \, \text{ } }", "5"),
        (r"\boxed{\{\}}", r"\{\}"),
        (r"\boxed{}", None),
        (r"$\boxed{1}$ and $\boxed{2}$", "1, 2"),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
        (r"\boxed{1}, that is, \boxed{1}", "1"),
        (r"{ \boxed{5}", "5"),
        ("no box", None),
        (r"\boxed{", None),
    ],
)
def test_the_last_closed_box_is_the_answer(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


def test_boxes_that_never_close_take_time_in_proportion_to_the_text() -> None:
    assert last_boxed(r"\boxed{" * 5_000) is None
    assert last_boxed(r"\boxed{" * 5_000 + "}" * 5_000) == "{" * 4_999 + "}" * 4_999


@pytest.mark.parametrize(
    "hostile",
    [
        *("*" * 50_000, "** " * 30_000, "\n**" * 30_000, "$" * 90_000, "(" * 90_000, "~" * 90_000),
        r"\boxed{" * 14_000,
        "".join(f"\\boxed{{{number}}}," for number in range(7_000)),
        r"\boxed{1}," * 10_000,
        r"\boxed{}" * 12_000,
        r"\boxed{1} , " + " " * 100_000,
        r"\boxed" + " " * 100_000,
        r"\boxed{" + " " * 90_000 + "x}",
        r"\boxed " + "1" * 100_000,
        "{" * 100_000,
        "\\" * 100_000,
        "\\text{" * 16_000,
    ],
    ids=range(17),
)
def test_no_run_takes_longer_than_its_length_deserves(hostile: str) -> None:
    started = time.process_time()
    last_boxed(hostile)
    plain(hostile)
    assert time.process_time() - started < 2


# Braces that pair, and none behind a backslash.
balanced = st.recursive(
    st.text("ab1+ ", max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
)


@settings(max_examples=50)
@given(before=st.text("ab \n$", max_size=10), content=balanced, after=st.text("ab. $", max_size=10))
def test_a_box_holds_all_between_its_own_braces(before: str, content: str, after: str) -> None:
    expected = content.strip() if content.strip("{} ") else None  # a blank box is no answer
    assert last_boxed(f"{before}\\boxed{{{content}}}{after}") == expected


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    last_boxed(text)
    plain(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left( 3, 4 \right)", "(3,4)"),
        (r"\text{Evelyn}", "evelyn"),
        (r"\text{(C)}", "C"),
        (r"90^\circ", "90^{\\circ}"),
        (r"10,\!000", "10,000"),
    ],
)
def test_ways_to_write_the_same_become_one(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_a_variable_in_capitals_is_another() -> None:
    assert plain("X") != plain("x")
