"""A process that grades, as the one that runs the evaluation sees it: asked, timed, replaced."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import stillhouse
from stillhouse.errors import StillhouseError, UsageError

# With -P and -s nothing of the folder at hand and of the user's own packages is imported. Not -I:
# it would ignore the environment below, which is all that these processes get.
_START = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main({arguments})"
_START_LIMIT_S = 120.0  # sympy takes a second to import, on a machine that is free
# The worker ends what is late by itself; this is for when it does not, as where it cannot fork.
_BACKSTOP = 12.0
_MOST_DEATHS = 2  # of workers that were asked the same


def command(module: str, arguments: str = "") -> list[str]:
    """To run `main(arguments)` of a module of this package in a Python of its own."""
    root = Path(stillhouse.__file__).parents[1]
    start = _START.format(module=f"stillhouse.evals.grading.{module}", arguments=arguments)
    return [sys.executable, "-P", "-s", "-c", start, str(root)]


def environment() -> dict[str, str]:
    """The same on every machine, so that problems and verdicts repeat; nothing of the user's."""
    fixed = {
        "PYTHONHASHSEED": "0",  # else the order of a set differs from run to run
        "OPENBLAS_NUM_THREADS": "1",  # numpy's buffers for 64 threads would not fit in the limits
    }
    if os.name == "nt":  # where Python does not start without it
        fixed["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    return fixed


def missing(kind: str, library: str) -> UsageError:
    """What is raised where a grader's library is not installed."""
    return UsageError(
        f"grading {kind} needs {library}, which is not installed",
        hint="pip install 'stillhouse[eval]'",
    )


class GradingProcess:
    """Takes one order at a time. Started when first asked, and again after it was killed."""

    def __init__(self, *, cpu_s: float, memory_bytes: int) -> None:
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._process: Process | None = None
        self._prepared: set[str] = set()
        self._ids = count()

    async def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """What the worker answers; {"failed": how} if it took too long, or died twice.

        A worker that dies was most likely killed by something else, since an answer is read by a
        process of its own: it is started again once. Raises UsageError if a library that it needs
        is not installed.
        """
        for _ in range(_MOST_DEATHS):
            if self._process is not None and self._process.returncode is not None:
                await self.close()
            await self._prepare(order["kind"])
            try:
                # The one before may still be computed, if nobody waits for it any more.
                return await asyncio.wait_for(self._exchange(order), 2 * _BACKSTOP * self._cpu_s)
            except TimeoutError:  # an OSError too, but its own fault
                await self.close()
                return {"failed": "ran out of time"}
            except (EOFError, OSError):
                await self.close()
        return {"failed": "gave up"}

    async def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        self._prepared = set()
        if process is not None:
            await end(process)

    async def _prepare(self, kind: str) -> None:
        if kind in self._prepared:
            return
        if self._process is None:
            arguments = f"{self._memory_bytes}, {self._cpu_s}, {os.getpid()}"
            self._process = await asyncio.create_subprocess_exec(
                *command("worker", arguments),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=environment(),
                start_new_session=True,  # else Ctrl-C in the terminal ends it too
            )
        try:
            reply = await asyncio.wait_for(self._exchange({"prepare": kind}), _START_LIMIT_S)
        except (TimeoutError, EOFError, OSError) as error:
            await self.close()
            raise StillhouseError("the process that grades does not start") from error
        if "missing" in reply:
            raise missing(kind, reply["missing"])
        self._prepared.add(kind)

    async def _exchange(self, order: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdin.is_closing():  # where uvloop raises a RuntimeError
            raise EOFError
        order_id = next(self._ids)
        process.stdin.write(json.dumps({**order, "id": order_id}).encode() + b"\n")
        await process.stdin.drain()
        while (line := await process.stdout.readline()).endswith(b"\n"):
            reply: dict[str, Any] = json.loads(line)
            if reply["id"] == order_id:  # else of an order that was cancelled
                return reply
        raise EOFError


async def end(process: Process) -> None:
    """Kills it, waits for its end, and lets go of its pipes."""
    with suppress(ProcessLookupError):
        process.kill()
    # `wait` waits for the pipes too, whose end nobody sees who has stopped reading, as one does
    # when too much is printed; or which a process that it started may hold open.
    for pipe in (0, 1):
        transport = process._transport.get_pipe_transport(pipe)  # type: ignore[attr-defined]
        if transport is not None:
            transport.close()
    await process.wait()
