"""Programs: the last Python block of an answer, run against tests as LiveCodeBench's runner does.

A test is {"input", "output"}. Without a function's name the input is what the program reads, and
the output what it prints. With one, each line of the input is an argument as JSON, and the output
the result. (github.com/LiveCodeBench/LiveCodeBench, lcb_runner/evaluation/testing_util.py)
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from stillhouse.evals.grading.process import command, end, environment
from stillhouse.evals.grading.sandbox import HEAD_BYTES

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_PYTHON = ("python", "python3", "py")
_MOST_DECIMAL = 1000  # characters of a number in a program's output
_MOST_MEMORY_BYTES = 4 << 30  # LiveCodeBench's


def _memory_bytes() -> int:
    """As much as the machine has, at most."""
    if not hasattr(os, "sysconf"):
        return _MOST_MEMORY_BYTES
    return min(_MOST_MEMORY_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """For each test `cpu_s`, in whole seconds, as many as LiveCodeBench has, and `test_s` on the
    clock: for programs that sleep, on a machine that is busy. For all tests of an answer `answer_s`
    on the clock.
    """

    cpu_s: int = 6
    test_s: float = 20.0
    answer_s: float = 300.0
    memory_bytes: int = field(default_factory=_memory_bytes)
    output_bytes: int = 4 << 20


def find(answer: str) -> str | None:
    """The last closed block that is marked as Python, else the last closed block."""
    blocks = _FENCE.findall(answer)
    marked = [text for language, text in blocks if language.lower() in _PYTHON]
    programs: list[str] = marked or [text for _, text in blocks]
    return programs[-1] if programs else None


async def passes(
    program: str, extra: Mapping[str, Any], limits: ProgramLimits
) -> tuple[bool, str | None]:
    """Whether it passes all tests; else the first that it fails, and how, in words."""
    tests = await asyncio.to_thread(lambda: extra["tests"])  # may be unpacked now, from megabytes
    function = extra.get("function")
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + limits.answer_s
    # Stays empty: all that is left behind in it by a run that is killed is the folder itself.
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        for number, test in enumerate(tests, 1):
            call, given = None, test["input"]
            if function is not None:
                arguments = [json.loads(line) for line in given.split("\n") if line.strip()]
                call, given = {"function": function, "arguments": arguments}, ""
            order = json.dumps({"program": program, "call": call}).encode()
            head = len(order).to_bytes(HEAD_BYTES) + order
            fed = head + given.encode("utf-8", "surrogatepass")
            left_s = min(limits.test_s, ends_at - loop.time())
            printed, fault = await _run(folder, fed, left_s, limits)
            same = _same_value if function is not None else _same_lines
            if fault is None and not same(printed, test["output"]):
                fault = "another result"
            if fault is not None:
                return False, f"test {number} of {len(tests)}: {fault}"
    return True, None


async def _run(
    folder: str, fed: bytes, time_limit_s: float, limits: ProgramLimits
) -> tuple[str, str | None]:
    """What it printed, and what went wrong. `fed` is all of its stdin."""
    if time_limit_s <= 0:
        return "", "no time was left"
    arguments = f"{limits.memory_bytes}, {limits.cpu_s}, {os.getpid()}"
    process = await asyncio.create_subprocess_exec(
        *command("sandbox", arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd=folder,
        env=environment(),
        start_new_session=True,
    )
    try:
        talk = _talk(process, fed, limits.output_bytes)
        printed = await asyncio.wait_for(talk, time_limit_s)
    except TimeoutError:
        return "", "it ran out of time"
    finally:
        await end(process)
    if printed is None:
        return "", f"it printed more than {limits.output_bytes:,} bytes"
    text = printed.decode("utf-8", "replace")
    if process.returncode == -signal.SIGKILL:
        return text, "it ran out of time"
    return text, "it ended with an error" if process.returncode else None


async def _talk(process: Process, given: bytes, most_bytes: int) -> bytes | None:
    assert process.stdin is not None
    assert process.stdout is not None
    feeding = asyncio.create_task(_feed(process, given))
    try:
        printed = bytearray()
        while piece := await process.stdout.read(1 << 16):
            printed += piece
            if len(printed) > most_bytes:
                return None
        await process.wait()
        return bytes(printed)
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding


async def _feed(process: Process, given: bytes) -> None:
    assert process.stdin is not None
    if process.stdin.is_closing():  # where uvloop raises a RuntimeError
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


def _same_value(printed: str, expected: str) -> bool:
    try:
        return bool(json.loads(printed) == json.loads(expected))
    except (ValueError, RecursionError):
        return False


def _same_lines(printed: str, expected: str) -> bool:
    """Line by line without outer blanks, or number by number: 2 and 2.0 are the same."""
    lines, wanted = (
        [line.strip() for line in text.strip().split("\n")] for text in (printed, expected)
    )
    return len(lines) == len(wanted) and all(map(_same_line, lines, wanted))


def _same_line(line: str, wanted: str) -> bool:
    if line == wanted:
        return True
    numbers = _decimals(line)
    return numbers is not None and numbers == _decimals(wanted)


def _decimals(line: str) -> list[Decimal] | None:
    words = line.split()
    if not words or any(len(word) > _MOST_DECIMAL for word in words):
        return None
    try:
        numbers = [Decimal(word) for word in words]
    except InvalidOperation:
        return None
    return numbers if all(number.is_finite() for number in numbers) else None
