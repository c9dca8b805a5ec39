"""Mixed load on a server for a long time; in the end everything must be back where it was.

    python tools/soak.py smollm2:135m --requests 5000

Starts `still serve`, sends chats, completions and Ollama chats, streamed and not, with thoughts,
budgets, several choices, long and short prompts. A third of them is abandoned at some random
moment. Twice the model's process is killed. Every request that was not abandoned has to be whole,
or to say clearly that its worker died; in the end the queue is empty, no KV block is held, and the
memory is what it was after the first requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import httpx
import psutil

_ABANDONED = 0.45  # so that a third leaves before its end comes
_TEXT = "the spider spins a web of silk and waits in the quiet garden for rain"


def main() -> int:
    """Run the load; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="smollm2:135m")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=24)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "stillhouse.cli.main", "serve", arguments.model]
    process = subprocess.Popen([*command, "--port", str(port), "--context", "2048"])
    try:
        return asyncio.run(_Soak(arguments, f"http://127.0.0.1:{port}", process.pid).run())
    finally:
        process.send_signal(signal.SIGTERM)
        print(f"the server ended with exit code {process.wait(60)}")


class _Soak:
    def __init__(self, arguments: argparse.Namespace, url: str, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._arguments = arguments
        self._rng = random.Random(arguments.seed)
        self._client = httpx.AsyncClient(base_url=url, timeout=300)
        self._outcomes: Counter[str] = Counter()
        self._failures: list[str] = []
        self._sent = 0

    async def run(self) -> int:
        """The load, then the accounts."""
        await self._wait_until_ready()
        for _ in range(200):  # so that caches and buffers have their size
            await self._one(abandon=False)
        before = await self._state()
        started = time.monotonic()
        total = self._arguments.requests
        kill_at = [
            total * (k + 1) // (self._arguments.kills + 1) for k in range(self._arguments.kills)
        ]
        self._outcomes.clear()

        async def keep_sending() -> None:
            while self._sent < total:
                self._sent += 1
                if self._sent in kill_at:
                    await self._kill_worker()
                if self._sent % 500 == 0:
                    print(f"{self._sent} sent: {dict(self._outcomes)}", flush=True)
                await self._one(abandon=self._rng.random() < _ABANDONED)

        await asyncio.gather(*(keep_sending() for _ in range(self._arguments.at_once)))
        return self._report(before, await self._settled(), time.monotonic() - started)

    def _report(self, before: dict[str, float], after: dict[str, float], seconds: float) -> int:
        print(f"{self._sent} requests in {seconds:.0f} s: {dict(sorted(self._outcomes.items()))}")
        for name in before:
            print(f"{name}: {before[name]:,.0f} before, {after[name]:,.0f} after")
        for failure in self._failures[:10]:
            print(failure)
        grew = after["memory_bytes"] > 1.1 * before["memory_bytes"]
        left = after["waiting"] or after["running"] or after["held_blocks"] or after["unbegun"]
        died = after["restarts"] != self._arguments.kills
        for is_wrong, what in (
            (bool(self._failures), f"{len(self._failures)} requests were not whole"),
            (bool(left), "requests or blocks are left over"),
            (grew, "memory has grown by more than a tenth"),
            (died, "workers died that nobody killed"),
        ):
            if is_wrong:
                print(f"FAILED: {what}")
        return 1 if self._failures or left or grew or died else 0

    async def _one(self, *, abandon: bool) -> None:
        rng = self._rng
        length = rng.choice([3, 10, 60, 400])
        text = " ".join(rng.choices(_TEXT.split(), k=length))
        chat: list[dict[str, str]] = [{"role": "user", "content": text}]
        most = rng.choice([1, 8, 40, 150])
        is_streamed = rng.random() < 0.6
        body: dict[str, Any]
        kind = rng.choice(["chat", "chat", "chat", "completion", "ollama"])
        if kind == "chat":
            path = "/v1/chat/completions"
            body = {"messages": chat, "max_tokens": most, "n": rng.choice([1, 1, 1, 3])}
            if rng.random() < 0.5:
                body["think"] = rng.choice([0, 1, 20, 100, True])
        elif kind == "completion":
            path, body = "/v1/completions", {"prompt": text, "max_tokens": most}
        else:
            path = "/api/chat"
            body = {"messages": chat, "options": {"num_predict": most}, "think": rng.random() < 0.5}
        body["stream"] = is_streamed
        patience_s = rng.expovariate(1 / 0.3) if abandon else None
        try:
            outcome = await asyncio.wait_for(self._send(path, body), patience_s)
        except TimeoutError:
            outcome = "abandoned"
        except httpx.TransportError as error:
            outcome = f"connection lost ({type(error).__name__})"
            self._failures.append(f"{path} {outcome}")
        self._outcomes[outcome] += 1

    async def _send(self, path: str, body: dict[str, Any]) -> str:
        async with self._client.stream("POST", path, json=body) as response:
            text = (await response.aread()).decode()
            if response.status_code in (429, 503):
                await asyncio.sleep(0.5)
                return "refused: the queue was full"
            if "worker_died" in text or "SIGKILL" in text:
                return "told that the worker died"
            if response.status_code != 200 or not _is_whole(path, text, streamed=body["stream"]):
                self._failures.append(f"{response.status_code} {path} {text[-300:]}")
                return "not whole"
            return "whole"

    async def _kill_worker(self) -> None:
        for child in self._server.children(recursive=True):
            if any("spawn_main" in part for part in child.cmdline()):
                print(f"killing worker {child.pid}", flush=True)
                child.kill()

    async def _wait_until_ready(self) -> None:
        while True:
            try:
                if (await self._client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)

    async def _state(self) -> dict[str, float]:
        text = (await self._client.get("/metrics")).text
        names = {
            "waiting": "vllm:num_requests_waiting",
            "running": "vllm:num_requests_running",
            "held_blocks": "stillhouse_kv_blocks_held",
            "unbegun": "stillhouse_requests_without_a_token",
            "memory_bytes": "stillhouse_memory_measured_bytes",
            "restarts": "stillhouse_worker_restarts_total",
        }
        return {
            name: sum(map(float, re.findall(rf"^{series}\{{.*\}} (\S+)$", text, re.MULTILINE)))
            for name, series in names.items()
        }

    async def _settled(self) -> dict[str, float]:
        """The state once nothing runs any more, or after a minute."""
        for _ in range(120):
            state = await self._state()
            if not (state["waiting"] or state["running"] or state["held_blocks"]):
                break
            await asyncio.sleep(0.5)
        return state


def _is_whole(path: str, text: str, *, streamed: bool) -> bool:
    """Whether a reply came to its end."""
    if path.startswith("/api/"):
        return bool(json.loads(text.splitlines()[-1]).get("done"))
    if streamed:
        return text.endswith("data: [DONE]\n\n") and '"finish_reason":"' in text
    return all(choice["finish_reason"] for choice in json.loads(text)["choices"])


if __name__ == "__main__":
    raise SystemExit(main())
