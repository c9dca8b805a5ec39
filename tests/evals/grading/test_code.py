from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stillhouse.evals.grading import code
from stillhouse.evals.grading.confinement import missing_protection
from stillhouse.evals.grading.grader import Graders, GradingLimits
from stillhouse.evals.sample import Grade
from stillhouse.evals.task import Problem
from tests.evals.grading.conftest import GradeOne

_SUM = {"tests": [{"input": "1\n2\n", "output": "3\n"}, {"input": "5\n-5\n", "output": "0\n"}]}
_GIVEN = {"PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}  # of the environment
_CALL = {"function": "add", "tests": [{"input": "1\n[2]", "output": "[1, 2]"}]}

protected = pytest.mark.skipif(bool(missing_protection()), reason="the system has no sandbox")


def fenced(program: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{program}\n```\nDone."


def run(grade: GradeOne, program: str, extra: dict[str, Any]) -> tuple[str, str | None]:
    found = grade("code", "", fenced(program), extra=extra)
    return found.verdict, found.note


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        (fenced("a = 1"), "a = 1\n"),
        (fenced("a = 1") + "\n" + fenced("b = 2"), "b = 2\n"),
        (fenced("a = 1") + "\nIt prints:\n```\n1\n```", "a = 1\n"),
        (fenced("a = 1", ""), "a = 1\n"),
        (fenced("a = 1", "Python"), "a = 1\n"),
        ("```python\nnever closed", None),
        ("print(1)", None),
    ],
)
def test_the_last_closed_python_block_is_the_program(answer: str, program: str | None) -> None:
    assert code.find(answer) == program


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("print(int(input()) + int(input()))", "right"),
        ("import sys\nprint(sum(map(int, sys.stdin)))", "right"),
        ("print(sum(map(int, open(0))))", "right"),
        ("print(float(sum(map(int, open(0)))))", "right"),
        ("if __name__ == '__main__':\n    print(int(input()) + int(input()))", "right"),
        ("def main():\n    a, b = open('/dev/stdin')\n    print(int(a) + int(b))\nmain()", "right"),
        ("print(3)", "wrong"),
        ("print(int(input()) + int(input())); print()\nprint('end')", "wrong"),
        ("print(int(input()) + int(input())); raise SystemExit(1)", "right"),
        ("print(int(input()) + int(input())); exit('done')", "right"),
        ("print(int(input()) + int(input())); 1 / 0", "wrong"),
        ("import os\nprint(int(input()) + int(input()), flush=True); os._exit(1)", "wrong"),
        ("print(", "wrong"),
        ("", "wrong"),
    ],
)
def test_a_program_is_right_if_it_prints_what_each_test_expects(
    grade: GradeOne, program: str, verdict: str
) -> None:
    assert run(grade, program, _SUM)[0] == verdict


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("def add(a, b):\n    print('noise')\n    return [a, *b]", "right"),
        (
            "class Solution:\n    def add(self, a: int, b: List[int]):\n        return (a, *b)",
            "right",
        ),
        ("def add(a, b):\n    return [a]", "wrong"),
        ("def other(a, b):\n    return [a, *b]", "wrong"),
        ("def add(a, b):\n    return {a, *b}", "wrong"),
        ("print([1, 2])\nexit(0)", "wrong"),
    ],
)
def test_a_function_is_right_if_it_returns_what_each_test_expects(
    grade: GradeOne, program: str, verdict: str
) -> None:
    assert run(grade, program, _CALL)[0] == verdict


def test_a_scalar_of_numpys_is_the_number_that_it_equals() -> None:
    program = (
        "import numpy as np\ndef add(a, b):\n"
        "    return [np.int64(a + b), np.float32(0.5), np.bool_(a < b)]"
    )
    extra = {"function": "add", "tests": [{"input": "1\n2", "output": "[3, 0.5, true]"}]}
    limits = code.ProgramLimits(test_s=60.0)
    assert asyncio.run(code.passes(program, extra, limits)) == (True, None)


def test_a_program_may_have_as_much_memory_as_livecodebench_gives_if_the_machine_has_it() -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert code.ProgramLimits().memory_bytes == min(4 << 30, whole)


def test_a_program_is_compiled_as_if_it_stood_alone(grade: GradeOne) -> None:
    program = "def f(a: int): pass\nprint(f.__annotations__['a'] is int)"
    assert run(grade, program, {"tests": [{"input": "", "output": "True"}]})[0] == "right"


def test_the_hashes_of_a_program_are_the_same_each_time(grade: GradeOne) -> None:
    show = "print(hash('a text'), [*{'a', 'b', 'c', 'd'}])"
    shown = subprocess.run(
        [sys.executable, "-c", show],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    assert run(grade, show, {"tests": [{"input": "", "output": shown.stdout}]})[0] == "right"


def test_the_test_that_failed_is_told(grade: GradeOne) -> None:
    assert run(grade, "print(3)", _SUM) == ("wrong", "test 2 of 2: another result")


@pytest.mark.parametrize(
    ("program", "note"),
    [
        ("while True: pass", "it ran out of time"),
        ("while True: print('x' * 10_000)", "it printed more than 1,048,576 bytes"),
        ("x = bytearray(1 << 34)", "it ended with an error"),
        ("x = []\nwhile True: x.append(bytearray(1 << 26))", "it ended with an error"),
        ("def f(): f()\nf()", "it ended with an error"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", None),
        ("exit(0)", "another result"),
        ("import os\nos._exit(0)", "another result"),
        ("import sys\nsys.stdout.close()", "another result"),
        ("import os\nos.close(1); os.close(0)\nwhile True: pass", "it ran out of time"),
        ("print('\\x00\\ud800'.encode('utf-8', 'surrogatepass'))", "another result"),
        ("import sys\nsys.stdout.buffer.write(bytes(range(256)))", "another result"),
    ],
)
def test_a_program_that_does_not_behave_ends_and_is_wrong(
    grade: GradeOne, program: str, note: str | None
) -> None:
    verdict, told = run(grade, program, {"tests": [{"input": "", "output": "3"}]})
    assert verdict == "wrong"
    assert told is not None
    assert told.startswith("test 1 of 1: ")
    if note is not None:
        assert note in told


def test_a_program_that_sleeps_is_ended_by_the_clock() -> None:
    extra = {"tests": [{"input": "", "output": ""}]}
    limits = GradingLimits(programs=code.ProgramLimits(test_s=0.5))

    async def ask() -> Grade:
        async with Graders(run_code=True, limits=limits) as graders:
            problem = Problem("1", "", "", extra=extra)
            return await graders.grade("code", problem, fenced("import time\ntime.sleep(1e6)"))

    found = asyncio.run(ask())
    assert (found.verdict, found.note) == ("wrong", "test 1 of 1: it ran out of time")


@protected
def test_a_program_can_harm_and_learn_nothing(grade: GradeOne, tmp_path: Path) -> None:
    """Each deed is tried; the program prints the names of those that were let happen."""
    kept = tmp_path / "kept"
    kept.write_text("the answer")
    deeds = {
        "write": f"open({str(tmp_path / 'new')!r}, 'w')",
        "write here": "open('new', 'w').write('x')",
        "truncate": f"os.truncate({str(kept)!r}, 0)",
        "remove": f"os.remove({str(kept)!r})",
        "rename": f"os.rename({str(kept)!r}, {str(tmp_path / 'other')!r})",
        "change mode": f"os.chmod({str(kept)!r}, 0)",
        "make a folder": f"os.mkdir({str(tmp_path / 'folder')!r})",
        "link": f"os.symlink('a', {str(tmp_path / 'link')!r})",
        "read": f"open({str(kept)!r}).read()",
        "list": f"os.listdir({str(tmp_path)!r})",
        "read a test": f"open({str(Path(__file__))!r}).read()",
        "read the parent": f"open('/proc/{os.getpid()}/environ').read()",
        "fork": "os.fork() or os._exit(0)",
        "run": "subprocess.run(['true'], check=True)",
        "connect": "socket.create_connection(('127.0.0.1', 1), 1)",
        "listen": "socket.socket()",
        "signal": f"os.kill({os.getpid()}, 0)",
        "signal all": "os.kill(-1, 0)",
        "limits": f"resource.prlimit({os.getpid()}, resource.RLIMIT_CPU)",
        "more memory": "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
        "environment": f"1 / len({{*os.environ}} - {_GIVEN})",
    }
    program = "import os, resource, socket, subprocess\n" + "".join(
        f"try:\n    {deed}\n    print({name!r})\nexcept Exception: pass\n"
        for name, deed in deeds.items()
    )
    extra = {"tests": [{"input": "", "output": "done"}]}
    assert run(grade, program + "print('done')", extra) == ("right", None)
    assert kept.read_text() == "the answer"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@protected
def test_a_bomb_of_processes_or_threads_does_not_go_off(grade: GradeOne) -> None:
    bombs = (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: break\nprint('out')",
        "import threading, time\nfor _ in range(10**5):"
        " threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()",
    )
    assert run(grade, bombs[0], {"tests": [{"input": "", "output": "out"}]}) == ("right", None)
    assert run(grade, bombs[1], {"tests": [{"input": "", "output": "out"}]})[0] == "wrong"


def test_a_thread_may_have_a_large_stack_as_recursive_programs_want(grade: GradeOne) -> None:
    program = (
        "import threading\nthreading.stack_size(1 << 26)\n"
        "def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\n"
        "t = threading.Thread(target=lambda: print(deep(20000)))\nt.start()\nt.join()"
    )
    assert run(grade, program, {"tests": [{"input": "", "output": "20000"}]}) == ("right", None)


def test_programs_end_with_the_run_that_is_cancelled(
    graders: tuple[asyncio.Runner, Graders],
) -> None:
    runner, running = graders

    async def ask() -> None:
        problem = Problem("1", "", "", extra={"tests": [{"input": "", "output": ""}]})
        task = asyncio.create_task(running.grade("code", problem, fenced("while True: pass")))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    runner.run(ask())
    assert time.monotonic() - started < 30
