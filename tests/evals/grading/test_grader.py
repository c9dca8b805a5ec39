from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.grading.grader import Graders
from stillhouse.evals.task import Problem
from tests.evals.grading.conftest import GradeOne


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        (r"\frac{14}{3}", r"\boxed{\dfrac{14}{3}}", "right"),
        (r"\frac{14}{3}", r"\boxed{4 \frac{2}{3}}", "right"),
        (r"\frac{14}{3}", r"\boxed{4.67}", "wrong"),
        ("9", r"\boxed{9.0}", "right"),
        ("9", r"\boxed{x = 9}", "right"),
        ("9", r"\boxed{3^2}", "right"),
        (r"2\sqrt{113}", "**Final answer:** 2√113", "right"),
        (r"(-\infty, 2\pi]", r"\boxed{(−∞, 2π]}", "right"),
        ("2k+2", "Therefore, the answer is 2k+2.", "right"),
        ("3, 5, 7", "**Final answer:** 3, 5, 7.", "right"),
        ("18", "The answer is 18 dollars for 3 days.", "right"),
        (r"\text{east}", "East.", "right"),
        (r"\text{east}", "**Answer:** west", "wrong"),
        ("9", "so 3 times 3 makes 9.", "right"),
        ("9", r"\boxed{8}, or rather \boxed{9}", "right"),
        ("9", r"\boxed{9}, or rather \boxed{8}", "wrong"),
        ("p - q", r"\boxed{-q + p}", "right"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3, \pi/2)}", "right"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(\pi/2, 3)}", "wrong"),
        ("1,-2", r"\boxed{-2, 1}", "right"),
        ("1,-2", r"\boxed{1} and \boxed{-2}", "right"),
        ("1,-2", r"\boxed{1}", "wrong"),
        ("[2,5)", r"\boxed{[2, 5)}", "right"),
        ("[2,5)", r"\boxed{[2, 5]}", "wrong"),
        (r"10\%", r"\boxed{10}", "right"),
        (r"90^\circ", r"\boxed{90}", "right"),
        (r"\frac{1}{6}", r"\boxed{0.1\overline{6}}", "right"),
        (r"0.\overline{45}", r"\boxed{\frac{5}{11}}", "right"),
        (r"(-\infty, 3]", r"\boxed{x \le 3}", "right"),
        (r"(-\infty, 3]", r"\boxed{x < 3}", "wrong"),
        ("1,2", r"\boxed{2, 1}", "right"),
        ("1,2", r"\boxed{12}", "wrong"),
        ("12", r"\fbox{12}", "right"),
        (r"11,\! 111", r"\boxed{11111}", "right"),
        (r"5 \text{ cm}", r"\boxed{5}", "right"),
        (r"\text{Evelyn}", r"\boxed{Evelyn}", "right"),
        (r"\text{Evelyn}", r"\boxed{\text{Briana}}", "wrong"),
        ("1,2", r"x=\boxed{1} and x=\boxed{2}", "right"),
        ("1,2", "\\[\\boxed{1}\\]\nand\n\\[\\boxed{2}\\]", "right"),
        ("73", r"The answer is \boxed{73}. I put it in \boxed{} as asked.", "right"),
        ("5", r"\boxed{5}\boxed{}", "right"),
        ("3", r"\boxed{\text{3 hours}}", "right"),
        ("3", r"\boxed{\text{3 or more}}", "wrong"),
        ("3", r"\boxed{3~\mathrm{cm}^{2}}", "right"),
        ("3", r"\boxed{3x^2}", "wrong"),
        ("15", r"\boxed{15 cm^2}", "right"),
        ("9", r"\boxed{3 cm^2}", "wrong"),
        ("12", r"\boxed{£12}", "right"),
        ("73", r"\boxed{73 \pmod{1000}}", "right"),
        ("1000", r"\boxed{73 \pmod{1000}}", "wrong"),
        ("9", "I cannot say.", "no_answer"),
        ("9", "", "no_answer"),
    ],
)
def test_mathematics_is_compared_by_what_it_means(
    grade: GradeOne, gold: str, answer: str, verdict: str
) -> None:
    assert grade("mathematics", gold, answer).verdict == verdict


@pytest.mark.parametrize("grader", ["mathematics", "number", "strict_number", "letter", "code"])
@pytest.mark.parametrize(
    ("finish_reason", "thinking_end", "verdict"),
    [
        ("stop", "natural", "no_answer"),
        ("stop", "budget", "no_answer"),
        ("cancelled", "client", "no_answer"),
        ("length", "none", "truncated"),
        ("length", "context", "truncated"),
        ("loop", "natural", "looped"),
        ("stop", "loop", "looped"),
        ("length", "loop", "looped"),
    ],
)
def test_without_an_answer_the_verdict_says_why(
    grade: GradeOne, grader: Any, finish_reason: str, thinking_end: str, verdict: str
) -> None:
    for answer in ("", "Well then."):
        assert grade(grader, "A", answer, finish_reason, thinking_end).verdict == verdict


@pytest.mark.parametrize(
    ("grader", "gold"), [("mathematics", "12"), ("number", "12"), ("letter", "C")]
)
def test_an_answer_counts_whatever_ended_the_reply(grade: GradeOne, grader: Any, gold: str) -> None:
    for ends in (("length", "context"), ("loop", "loop"), ("stop", "budget")):
        assert grade(grader, gold, f"\\boxed{{{gold}}} and so", *ends).verdict == "right"
        other = "B" if grader == "letter" else "7"
        assert grade(grader, gold, f"\\boxed{{{other}}} and so", *ends).verdict == "wrong"


def test_where_an_answer_was_cut_off_its_last_number_is_not_taken(grade: GradeOne) -> None:
    for grader in ("mathematics", "number"):
        assert grade(grader, "12", "He has 3 * 4 = 12", "length").verdict == "truncated"
        assert grade(grader, "12", "The answer is 12, as", "length").verdict == "right"


def test_a_text_too_long_to_be_read_is_read_from_its_end_and_said_to_be(grade: GradeOne) -> None:
    found = grade("number", "5", "7 " * 100_000 + "so 5")
    assert found.verdict == "right"
    assert found.note is not None
    assert "the last 100,000 of 200,004 characters" in found.note


def test_code_is_refused_until_it_is_allowed() -> None:
    async def ask() -> None:
        async with Graders() as graders:
            await graders.grade("code", Problem("1", "", ""), "```python\nprint(1)\n```")

    with pytest.raises(UsageError, match="nobody has allowed") as refusal:
        asyncio.run(ask())
    assert refusal.value.hint is not None
    assert "--allow-code" in refusal.value.hint


def test_a_library_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from stillhouse.evals.grading import process

    monkeypatch.setattr(
        process, "_START", "import sys; sys.modules['math_verify'] = None; " + process._START
    )

    async def ask() -> None:
        async with Graders() as graders:
            await graders.grade("mathematics", Problem("1", "", "4"), r"\boxed{2 + 2}")

    with pytest.raises(UsageError, match="needs math_verify") as refusal:
        asyncio.run(ask())
    assert refusal.value.hint == "pip install 'stillhouse[eval]'"


def test_nothing_that_grades_is_imported_where_answers_are_generated() -> None:
    import subprocess

    script = "import sys, stillhouse.evals.grading.grader; print([*sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "stillhouse.evals.grading.grader" in shown.stdout
    assert "sympy" not in shown.stdout
    assert "reasoning_gym" not in shown.stdout


def test_answers_graded_at_once_do_not_mix(graders: tuple[asyncio.Runner, Graders]) -> None:
    runner, running = graders

    async def ask() -> list[str | None]:
        problems = [Problem(str(n), "", f"{n} + 1") for n in range(20)]
        answers = [f"\\boxed{{{n + n % 2 + 1}}}" for n in range(20)]
        grades = [
            running.grade("mathematics", *pair) for pair in zip(problems, answers, strict=True)
        ]
        return [grade.verdict for grade in await asyncio.gather(*grades)]

    assert runner.run(ask()) == ["right", "wrong"] * 10


def test_a_cancelled_grade_leaves_the_next_one_its_own_answer(
    graders: tuple[asyncio.Runner, Graders],
) -> None:
    runner, running = graders

    async def ask() -> str:
        first = asyncio.create_task(
            running.grade("mathematics", Problem("1", "", "4"), r"\boxed{10^{10^{10^{10}}}}")
        )
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        grade = await running.grade("mathematics", Problem("1", "", "4"), r"\boxed{2 + 2}")
        return grade.verdict

    assert runner.run(ask()) == "right"
