"""A real server with a real small model, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest


@dataclass(frozen=True)
class Served:
    """Where a server is, and what it serves."""

    url: str
    model: str
    pid: int

    def metric(self, pattern: str) -> float:
        """The sum of the metric's values whose lines match."""
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        lines = [line for line in text.splitlines() if re.match(pattern, line)]
        assert lines, f"no metric {pattern}"
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def wait_until_idle(self) -> None:
        """Until nothing is open in the engine any more."""
        deadline = time.monotonic() + 20
        while self.metric("stillhouse_kv_blocks_held") or self.metric("vllm:num_requests_w"):
            assert time.monotonic() < deadline, "requests are left over"
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(model: str, *options: str) -> Iterator[Served]:
    """A server that is ready; it has to end by itself, and well, on SIGTERM."""
    port = free_port()
    command = [sys.executable, "-m", "stillhouse.cli.main", "serve", model, "--port", str(port)]
    # A team of threads waits for whichever another test keeps from running: one is quicker here.
    command += ["--threads", "1"]
    environment = {k: v for k, v in os.environ.items() if k != "STILLHOUSE_API_KEY"}
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, url)
        yield Served(url, model, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=40)
    assert process.returncode == 0, told.decode()
    assert b"Traceback" not in told, told.decode()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


@pytest.fixture(scope="session")
def server(smollm2_path: Path) -> Iterator[Served]:
    with serving(str(smollm2_path), "--context", "2048", "--max-queue", "32") as served:
        yield served
