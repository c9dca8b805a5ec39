"""Contest problems keep their tests packed until they are asked for, and unpack no code."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.fields import WrongFields
from tests.evals.tasks.rows import problems

PUBLIC = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
HIDDEN = [{"input": f"{n} {n}\n", "output": f"{2 * n}\n", "testtype": "stdin"} for n in range(3)]


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": f"abc{number}",
        "question_content": f"Add the numbers. ({number})",
        "starter_code": "",
        "difficulty": ("easy", "hard")[number % 2],
        "public_test_cases": json.dumps(PUBLIC),
        "private_test_cases": packed(json.dumps(HIDDEN)),
        "metadata": "{}",
        **changes,
    }


def test_five_programs_are_asked_for_with_their_public_and_hidden_tests() -> None:
    made = problems("livecodebench", [row(n) for n in range(5)])
    assert [(each.id, each.group) for each in made][:2] == [("abc0", "easy"), ("abc1", "hard")]
    assert made[4].prompt == (
        "You will be given a question (problem specification) and will generate a correct Python"
        " program that matches the specification and passes all tests.\n\n"
        "Question: Add the numbers. (4)\n\n"
        "Read the inputs from stdin solve the problem and write the answer to stdout (do not"
        " directly test on the sample inputs). Enclose your code within delimiters as follows."
        " Ensure that when the python program runs, it reads the inputs, runs the algorithm and"
        " writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n"
    )
    for each in made:
        assert each.extra == {
            "tests": [
                {"input": test["input"], "output": test["output"]} for test in PUBLIC + HIDDEN
            ],
            "function": None,
            "timeout_s": 6.0,
        }


def test_a_function_is_asked_for_with_its_beginning() -> None:
    start = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        "
    (made,) = problems("livecodebench", [row(starter_code=start, metadata='{"func_name": "add"}')])
    assert made.prompt.endswith(
        "You will use the following starter code to write the solution to the problem and enclose"
        f" your code within delimiters.\n```python\n{start}\n```\n\n"
    )
    assert made.extra is not None
    assert made.extra["function"] == "add"


def test_hidden_tests_may_be_plain_json() -> None:
    (made,) = problems("livecodebench", [row(private_test_cases=json.dumps(HIDDEN))])
    assert made.extra is not None
    assert len(made.extra["tests"]) == 4


def test_a_problem_with_its_tests_can_go_to_another_process() -> None:
    (made,) = problems("livecodebench", [row()])
    assert pickle.loads(pickle.dumps(made)) == made


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("it ran",)


def test_a_pickle_that_would_run_code_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    (made,) = problems("livecodebench", [row(private_test_cases=packed(_Hostile()))])
    assert made.extra is not None
    with pytest.raises(UsageError, match=r"it names builtins\.print"):
        made.extra["tests"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "private",
    ["%%%", "aGVsbG8=", packed("no json"), packed(json.dumps([{"input": 1}])), packed(5), "[1]"],
)
def test_tests_that_are_none_are_said_in_one_line(private: str) -> None:
    (made,) = problems("livecodebench", [row(private_test_cases=private)])
    assert made.extra is not None
    with pytest.raises(UsageError, match="a problem's tests "):
        made.extra["tests"]


def test_metadata_that_is_no_json_is_refused() -> None:
    with pytest.raises(WrongFields, match="'metadata' is no JSON object"):
        problems("livecodebench", [row(metadata="[")])
