"""The processes that grade: what they inherit, whom they end with, what is done when they die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stillhouse.evals.grading import process
from stillhouse.evals.grading.process import GradingProcess

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

_ORDER = {"kind": "mathematics", "gold": "4", "boxed": "2 + 2", "text": ""}


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker that takes every answer for right, without the libraries that take a second to
    import. A file with a letter for each one that was started.
    """
    return _worker(tmp_path, monkeypatch, "worker._grade = lambda order: {{'right': True}}")


def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> Path:
    counted = tmp_path / "starts"
    start = (
        "import os, sys; sys.path.insert(0, sys.argv[1]);"
        f"open({str(counted)!r}, 'a').write('x');"
        "from stillhouse.evals.grading import worker; worker._prepare = lambda kind: {{}};"
    )
    monkeypatch.setattr(process, "_START", start + change + "; worker.main({arguments})")
    return counted


def _pid(asked: GradingProcess) -> int:
    assert asked._process is not None
    return asked._process.pid


@on_linux
def test_a_worker_has_a_session_and_an_environment_of_its_own(
    starts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C goes to all processes of the terminal's session that are in front."""
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", str(starts.parent))

    async def ask() -> None:
        asked = GradingProcess(cpu_s=5.0, memory_bytes=1 << 30)
        await asked.ask(_ORDER)
        pid = _pid(asked)
        assert os.getsid(pid) == os.getpgid(pid) == pid
        given = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
        names = {one.partition("=")[0] for one in given}
        assert "PYTHONHASHSEED=0" in given
        assert names <= {"PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}
        await asked.close()

    asyncio.run(ask())


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize("waits_s", [0.0, 0.001, 0.5])
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])  # the second is what `still eval` runs in
def test_an_answer_whose_worker_was_killed_is_asked_again(
    starts: Path, loops: str, waits_s: float
) -> None:
    async def ask() -> dict[str, Any]:
        asked = GradingProcess(cpu_s=5.0, memory_bytes=1 << 30)
        await asked.ask(_ORDER)
        os.kill(_pid(asked), signal.SIGKILL)
        await asyncio.sleep(waits_s)  # its end is seen before or after it is asked
        reply = await asked.ask(_ORDER)
        await asked.close()
        return reply

    with asyncio.Runner(loop_factory=pytest.importorskip(loops).new_event_loop) as runner:
        assert runner.run(ask())["right"] is True
    assert starts.read_text() == "xx"


@pytest.mark.parametrize("way", ["os._exit(1)", "os.write(replies, b'half a li') and os._exit(1)"])
def test_an_answer_that_kills_each_worker_is_given_up_after_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    change = f"replies = os.dup(1); worker._grade_apart = worker._grade = lambda *_: {way}"
    starts = _worker(tmp_path, monkeypatch, change)

    async def ask() -> dict[str, Any]:
        asked = GradingProcess(cpu_s=5.0, memory_bytes=1 << 30)
        reply = await asked.ask(_ORDER)
        await asked.close()
        return reply

    assert asyncio.run(ask()) == {"failed": "gave up"}
    assert starts.read_text() == "xx"


@on_linux
def test_an_answer_cannot_read_the_orders_that_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = "worker._grade = lambda order: {{'right': os.read(0, 1 << 16) == b''}}"
    _worker(tmp_path, monkeypatch, change)

    async def ask() -> list[bool]:
        asked = GradingProcess(cpu_s=5.0, memory_bytes=1 << 30)
        replies = [await asked.ask(_ORDER) for _ in range(2)]
        await asked.close()
        return [reply["right"] for reply in replies]

    assert asyncio.run(ask()) == [True, True]


_RUN = """
import asyncio, os, sys, tempfile
from stillhouse.evals.grading import code, process
from stillhouse.evals.grading.process import GradingProcess

process._START = {start!r}
started = process.asyncio.create_subprocess_exec

async def noted(*arguments, **options):
    made = await started(*arguments, **options)
    print(made.pid, flush=True)
    return made

process.asyncio.create_subprocess_exec = noted
tempfile.tempdir = sys.argv[1]

async def work():
    limits = code.ProgramLimits(test_s=600.0)
    extra = {{"tests": [{{"input": "", "output": ""}}]}}
    running = code.passes("import time\\ntime.sleep(600)", extra, limits)
    await asyncio.gather(running, GradingProcess(cpu_s=60.0, memory_bytes=1 << 30).ask({order}))

asyncio.run(work())
"""


@on_linux
def test_what_was_started_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """A program that sleeps and a worker that waits for an answer which does."""
    start = process._START.replace(
        "from {module}",
        "from stillhouse.evals.grading import worker; worker._prepare = lambda kind: {{}};"
        " worker._grade = lambda order: worker.time.sleep(600); from {module}",
    )
    script = _RUN.format(start=start, order=_ORDER)
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert run.stdout is not None
    pids = [int(run.stdout.readline()) for _ in range(2)]
    ends_at = time.monotonic() + 60
    while not all(map(_is_asleep, pids)) and time.monotonic() < ends_at:
        time.sleep(0.1)
    run.kill()
    run.communicate()
    while any(map(_is_alive, pids)) and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert not any(map(_is_alive, pids))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def _state(pid: int) -> str:
    """A letter; Z, of what has ended, where nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def _is_asleep(pid: int) -> bool:
    # Python that starts is not asleep for a second at a time.
    first, _ = _state(pid), time.sleep(1.0)
    return first == "S" == _state(pid)


def _is_alive(pid: int) -> bool:
    return _state(pid) != "Z"
