"""A process that grades, as the one that runs the evaluation sees it: asked, timed, replaced."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import stillhouse
from stillhouse.errors import StillhouseError, UsageError

# With -I nothing of the environment and of the folder at hand is imported.
_START = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main({arguments})"
_START_LIMIT_S = 120.0  # sympy takes a second to import, on a machine that is free


def command(module: str, arguments: str = "") -> list[str]:
    """To run `main(arguments)` of a module of this package in a Python of its own."""
    root = Path(stillhouse.__file__).parents[1]
    start = _START.format(module=f"stillhouse.evals.grading.{module}", arguments=arguments)
    return [sys.executable, "-I", "-c", start, str(root)]


class GradingProcess:
    """One at a time is graded in it. Started when first asked, and again after it was killed."""

    def __init__(self, *, time_limit_s: float, memory_bytes: int) -> None:
        self._time_limit_s = time_limit_s
        self._memory_bytes = memory_bytes
        self._process: Process | None = None
        self._prepared: set[str] = set()
        self.kills = 0

    async def ask(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """What the worker answers; None if it took too long, or died of it.

        Raises UsageError if a library that it needs is not installed.
        """
        await self._prepare(order["kind"])
        try:
            return await asyncio.wait_for(self._exchange(order), self._time_limit_s)
        except (TimeoutError, EOFError, OSError):
            await self._kill()
        except asyncio.CancelledError:
            await self._kill()
            raise
        return None

    async def close(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            await self._kill()

    async def _prepare(self, kind: str) -> None:
        if kind in self._prepared:
            return
        if self._process is None:
            arguments = f"{self._memory_bytes}, {self._time_limit_s}"
            self._process = await asyncio.create_subprocess_exec(
                *command("worker", arguments), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        try:
            reply = await asyncio.wait_for(self._exchange({"prepare": kind}), _START_LIMIT_S)
        except BaseException as error:
            await self._kill()
            if isinstance(error, TimeoutError | EOFError | OSError):
                raise StillhouseError("the process that grades does not start") from error
            raise
        if "missing" in reply:
            await self._kill()
            raise UsageError(
                f"grading {kind} needs {reply['missing']}, which is not installed",
                hint="pip install 'stillhouse[eval]'",
            )
        self._prepared.add(kind)

    async def _exchange(self, order: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def _kill(self) -> None:
        process, self._process = self._process, None
        self._prepared = set()
        if process is not None:
            self.kills += 1
            await end(process)


async def end(process: Process) -> None:
    """Kills it, waits for its end, and lets go of its pipes."""
    with suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()
    # Pipes that the killed process still held open are closed with the transport alone.
    process._transport.close()  # type: ignore[attr-defined]
