"""What answers may hold to stall a run, to crash it, or to have something executed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from stillhouse.evals.grading import boxes, letter, number
from tests.evals.grading.conftest import GradeOne

_HARMLESS_SOON = {
    "deep brackets": r"\boxed{" + "(" * 10_000 + "1" + ")" * 10_000 + "}",
    "a million digits": "1" * 1_000_000,
    "a million digits in a box": r"\boxed{" + "1" * 1_000_000 + "}",
    "a long number": r"\boxed{" + "7" * 1_900 + "}",
    "no end of roots": r"\boxed{" + r"\sqrt{" * 5_000 + "2" + "}" * 5_000 + "}",
    "a large matrix": r"\boxed{\begin{pmatrix}" + (" 1 &" * 999 + r" 1 \\") * 1_000 + "}",
    "boxes that never close": r"\boxed{" * 50_000,
    "dollars": "$" * 50_000 + r"\boxed{3}",
    "a zero byte": "\\boxed{\x00}",
    "half a character": "\\boxed{\ud800 \udfff}",
    "written backwards": "\\boxed{\u202e5\u202c\u200f}",
    "bytes": bytes(range(256)).decode("latin-1") * 50,
    "nothing": "\\boxed{}",
    "division by zero": r"\boxed{\frac{1}{0}}",
    "an unknown command": r"\boxed{\def\x{\x\x}\x}",
}
_ENDLESS = {
    "a tower of powers": r"\boxed{10^{10^{10^{10}}}}",
    "a tower in Python": "the answer is 9**9**9**9",
    "a factorial": r"\boxed{(10^{9})!}",
}


@pytest.mark.parametrize("answer", _HARMLESS_SOON.values(), ids=_HARMLESS_SOON.keys())
@pytest.mark.parametrize("grader", ["mathematics", "number", "strict_number", "letter", "code"])
def test_odd_answers_are_graded_and_are_not_right(
    grade: GradeOne, grader: Any, answer: str
) -> None:
    found = grade(grader, "B" if grader == "letter" else "41", answer)
    assert found.verdict in ("wrong", "no_answer")


# All that a pattern of the graders repeats or begins with.
_RUNS = (
    *(
        "*",
        "** ",
        "\n**",
        " ",
        "\n",
        "_",
        "$",
        "(",
        "[",
        '"',
        "'",
        "`",
        "{",
        "}",
        ")",
        "]",
        ":",
        ".",
    ),
    *(
        "-",
        "=",
        "/",
        "^",
        "#",
        "\\",
        "~",
        "“",
        "\\text{",
        "\\(",
        "\\,",
        "option ",
        "choice ",
        "answer ",
    ),
    *("answer: ", "answer is ", "correct ", "is ", "only ", "not B ", "A", "B ", "B, ", "A and "),
    *("(B) ", "**B** ", "B is ", "B or ", "\nB. ", "选", "答案", "1", "1 ", "1,", "1,111", "111 "),
    *("1/", "1/1 ", "1:", "=1", "$1", "- ", "#### ", "a^", "in 1, ", "; ", "since ", "\\frac{"),
)


@pytest.mark.parametrize("head", ["", "The answer is ", "\\boxed{"])
@pytest.mark.parametrize("run", _RUNS)
def test_a_run_of_anything_takes_time_in_proportion(run: str, head: str) -> None:
    # A quadratic pattern needs seconds for this; the graders take 0.04 s.
    answer = head + run * (10_000 // len(run)) + ("1111x}" if head == "\\boxed{" else "x")
    assert _grading_s(answer) < 1


@pytest.mark.parametrize("run", ["*" * 50_000, "** " * 30_000, "\n**" * 30_000])
def test_long_runs_of_emphasis_do_too(run: str) -> None:
    assert _grading_s(run) < 5


def _grading_s(answer: str) -> float:
    started = time.process_time()
    letter.find(answer, ("Paris", "London", "Rome", "Berlin"), ended=True)
    number.find(answer, ended=True)
    boxes.last_boxed(answer)
    return time.process_time() - started


@pytest.mark.parametrize("answer", _ENDLESS.values(), ids=_ENDLESS.keys())
def test_an_endless_answer_is_wrong_once_its_time_is_over(grade: GradeOne, answer: str) -> None:
    # Bounded far above the limit of 0.7 s: two processes may have to start.
    started = time.monotonic()
    found = grade("mathematics", "41", answer)
    assert time.monotonic() - started < 60
    assert found.verdict == "wrong"


def test_after_a_killed_process_the_next_answer_is_graded_as_ever(grade: GradeOne) -> None:
    found = grade("mathematics", "41", r"\boxed{10^{10^{10^{10}}}}")
    assert found.note is not None
    assert "ran out of time" in found.note
    assert grade("mathematics", "41", r"\boxed{40 + 1}").verdict == "right"


@pytest.mark.parametrize(
    "form",
    [
        r"\boxed{{{}}}",
        r"\boxed{{\text{{{}}}}}",
        "The final answer is ${}$. I hope it is correct",
        "the answer is {}",
        "{}",
        "<answer>{}</answer>",
    ],
)
def test_no_text_is_executed(grade: GradeOne, tmp_path: Path, form: str) -> None:
    trace = tmp_path / "trace"
    for text in (
        f"__import__('os').system('touch {trace}')",
        f"open('{trace}', 'w')",
        f"(lambda: exec(\"open('{trace}', 'w')\"))()",
        f"eval(\"open('{trace}', 'w')\") + 1",
    ):
        answer = form.format(text)
        assert grade("mathematics", "41", answer).verdict in ("wrong", "no_answer")
        assert grade("number", "41", answer).verdict in ("wrong", "no_answer")
    assert not trace.exists()
