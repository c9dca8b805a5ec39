"""LiveCodeBench: contest problems, solved if the program passes every test, the hidden ones too."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from stillhouse.errors import UsageError
from stillhouse.evals.fields import WrongFields, row_id, texts
from stillhouse.evals.task import HubData, Problem, Row, Task

_OPENING = (
    "You will be given a question (problem specification) and will generate a correct Python"
    " program that matches the specification and passes all tests.\n\nQuestion: {question}\n\n"
)
_FUNCTION = (
    "You will use the following starter code to write the solution to the problem and enclose your"
    " code within delimiters.\n```python\n{starter_code}\n```\n\n"
)
_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly"
    " test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when"
    " the python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT."
    "\n```python\n# YOUR CODE HERE\n```\n\n"
)
_TIMEOUT_S = 6.0  # for one test, as lcb_runner has it


class CodeTests(Mapping[str, Any]):
    """`tests`, `function` and `timeout_s`, as a grader of code needs them.

    The tests are unpacked when they are asked for: those of all problems take gigabytes. They are
    [{"input": str, "output": str}]. `function` is the method of `Solution` to call, whose input
    has an argument a line and whose output is a value, all in JSON; None: a program that reads
    stdin.
    """

    def __init__(self, public: str, private: str, function: str | None) -> None:
        self._public, self._private, self._function = public, private, function

    def __getitem__(self, key: str) -> Any:
        if key == "tests":
            both = [*_tests(self._public), *_tests(self._private)]
            return [{"input": test["input"], "output": test["output"]} for test in both]
        return {"function": self._function, "timeout_s": _TIMEOUT_S}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("tests", "function", "timeout_s"))

    def __len__(self) -> int:
        return 3


def _problems(rows: Sequence[Row], _shots: Sequence[Row], _seed: int) -> list[Problem]:
    return [_problem(row, number) for number, row in enumerate(rows)]


def _problem(row: Row, number: int) -> Problem:
    question, public, private = texts(
        row, "question_content", "public_test_cases", "private_test_cases"
    )
    starter_code, metadata = row.get("starter_code") or "", row.get("metadata") or "{}"
    try:
        function = json.loads(metadata).get("func_name")
    except (ValueError, AttributeError, TypeError) as error:
        raise WrongFields(row, f"'metadata' is no JSON object: {error}") from error
    ask = _FUNCTION.format(starter_code=starter_code) if starter_code else _STDIN
    return Problem(
        row_id(row, number),
        _OPENING.format(question=question) + ask,
        gold="",  # a program is right by its tests
        group=str(row.get("difficulty") or ""),
        extra=CodeTests(public, private, function),
    )


def _tests(packed: str) -> list[dict[str, str]]:
    """A JSON list, or that list as a string, pickled, deflated and in base 64."""
    try:
        if not packed.lstrip().startswith("["):
            deflated = zlib.decompress(base64.b64decode(packed, validate=True))
            packed = _PlainUnpickler(io.BytesIO(deflated)).load()
        tests = json.loads(packed)
        if all(isinstance(test[key], str) for test in tests for key in ("input", "output")):
            return list(tests)
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise UsageError(f"a problem's tests can't be unpacked: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"a problem's tests are no list of inputs and outputs: {error}") from error
    raise UsageError("a problem's tests are no list of inputs and outputs, both texts")


class _PlainUnpickler(pickle.Unpickler):
    """Of plain values alone: a pickle that names a class or function could run anything."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and should hold a text")


LIVECODEBENCH = Task(
    name="livecodebench",
    version=1,
    title="LiveCodeBench, v4 and v5 (to January 2025)",
    source="github.com/LiveCodeBench/LiveCodeBench lcb_runner, in the wording that lighteval 0.13.0"
    " asks reasoning models with (tasks/lcb/main.py)",
    asking="chat",
    prompt=_OPENING + _STDIN,
    problems=_problems,
    grader="code",
    data=HubData(
        "livecodebench/code_generation_lite",
        ("test4.jsonl", "test5.jsonl"),
        "0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
    ),
    samples=4,  # open-r1 asks 16 times, DeepSeek 64
)
