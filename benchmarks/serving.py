"""What serving costs: streams over HTTP against the same engine with nothing around it.

    python benchmarks/serving.py                           # the 1.5B, 16 streams
    python benchmarks/serving.py --model smollm2:135m --streams 4 --json serving.json

Two processes hold the model: `still serve`, and a bare engine loop that answers the same ids. They
take turns, so that a ratio is of two measurements next to each other; the medians of the rounds'
own ratios are reported. The client shares the machine's cores, as a user's browser does; it only
reads bytes. TTFT is that of a prompt that the cache already knows, on a connection that is open,
with nobody else there: what is left is the way in and out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from stillhouse import __version__
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine

_SUBJECTS = (
    "rain", "bread", "glass", "tides", "bees", "steel", "paper", "salt",
    "clouds", "bridges", "maps", "clocks", "soap", "rivers", "chess", "wool",
)  # fmt: skip
_END = b"data: [DONE]"


def main() -> int:
    """Measure, print, write the JSON if asked to."""
    arguments = _arguments()
    if arguments.bare:
        return _bare_engine(arguments)
    rounds, ttfts = [], []
    with _served(arguments) as port, _bare() as bare:
        for number in range(arguments.rounds + 1):
            served = asyncio.run(_stream_all(port, arguments.streams, arguments.tokens))
            engine = _ask_bare(bare, f"streams {arguments.streams} {arguments.tokens}")
            if number:  # the first one fills the prefix cache
                rounds.append((served, engine))
                print(f"round {number}: {served:.2f} s served, {engine:.2f} s bare", flush=True)
        for _ in range(arguments.firsts):
            served = asyncio.run(_first_token(port))
            ttfts.append((served, _ask_bare(bare, "first")))
    total = arguments.streams * arguments.tokens
    document = {
        "command": "serving",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "streams": arguments.streams,
        "tokens_per_stream": arguments.tokens,
        "served_tokens_per_s": [total / served for served, _ in rounds],
        "bare_tokens_per_s": [total / engine for _, engine in rounds],
        "cost_share": median(1 - engine / served for served, engine in rounds),
        "served_ttft_ms": median(1000 * served for served, _ in ttfts),
        "bare_ttft_ms": median(1000 * engine for _, engine in ttfts),
        "ttft_overhead_ms": median(1000 * (served - engine) for served, engine in ttfts),
    }
    print(
        f"{arguments.streams} streams: {median(document['served_tokens_per_s']):.1f} tok/s served,"
        f" {median(document['bare_tokens_per_s']):.1f} bare: serving costs"
        f" {document['cost_share']:.1%}\n"
        f"first token: {document['served_ttft_ms']:.1f} ms served,"
        f" {document['bare_ttft_ms']:.1f} ms bare: {document['ttft_overhead_ms']:.1f} ms more"
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _question(number: int) -> str:
    return f"Write a long and careful essay about {_SUBJECTS[number % len(_SUBJECTS)]}."


def _body(number: int, tokens: int) -> bytes:
    body = json.dumps(
        {
            "messages": [{"role": "user", "content": _question(number)}],
            "stream": True,
            "max_tokens": tokens,
            "ignore_eos": True,
            "seed": number,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _stream_all(port: int, streams: int, tokens: int) -> float:
    """Seconds until every one of the streams has ended."""
    started = time.perf_counter()
    await asyncio.gather(*(_stream(port, number, tokens) for number in range(streams)))
    return time.perf_counter() - started


async def _stream(port: int, number: int, tokens: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_body(number, tokens))
    tail = b""
    while _END not in tail:
        received = await reader.read(65536)
        if not received:
            raise RuntimeError(f"the server ended stream {number} early: {tail!r}")
        tail = tail[-64:] + received
    writer.close()


async def _first_token(port: int) -> float:
    """Seconds from sending a request to the first byte of a token's text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.read(65536)
    started = time.perf_counter()
    writer.write(_body(0, 2))
    received = b""
    while b'"content":' not in received.replace(b'"content":null', b"").replace(
        b'"content":""', b""
    ):
        received += await reader.read(65536)
    elapsed = time.perf_counter() - started
    while _END not in received:
        received += await reader.read(65536)
    writer.close()
    return elapsed


@contextmanager
def _served(arguments: argparse.Namespace) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "stillhouse.cli.main", "serve", arguments.model,
        "--port", str(port), "--users", str(arguments.streams), "--context", "1024",
    ]  # fmt: skip
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(port, server)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server was not ready after 300 s")


@contextmanager
def _bare() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, *sys.argv[1:], "--bare"]
    engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        _ask_bare(engine, "first")
        yield engine
    finally:
        engine.stdin.close()  # type: ignore[union-attr]
        engine.wait(30)


def _ask_bare(engine: subprocess.Popen[str], order: str) -> float:
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(order + "\n")
    engine.stdin.flush()
    return float(engine.stdout.readline())


def _bare_engine(arguments: argparse.Namespace) -> int:
    """The other process: reads orders, prints seconds."""
    from stillhouse import hub
    from stillhouse.checkpoints import open_checkpoint
    from stillhouse.engine import Engine, EngineLoop, Request
    from stillhouse.models.kv import KVCache
    from stillhouse.models.loading import load_model
    from stillhouse.questions import Speech

    with open_checkpoint(hub.resolve(arguments.model)) as checkpoint:
        threads = arguments.threads or this_machine().physical_cores
        speech = Speech.from_metadata(checkpoint.metadata)
        model = load_model(checkpoint, threads=threads)
        kv = KVCache(model.config, arguments.streams * 1024 // 32, "bf16")
        loop = EngineLoop(Engine(model, kv, context_tokens=1024))

        def request(number: int, tokens: int) -> Request:
            question = speech.question(
                _question(number),
                context_tokens=1024,
                max_tokens=tokens,
                ignore_eos=True,
                seed=number,
            )
            return question.request

        for order in sys.stdin:
            kind, *numbers = order.split()
            started = time.perf_counter()
            if kind == "first":
                next(stream := loop.submit(request(0, 2)))
                elapsed = time.perf_counter() - started
                list(stream)
            else:
                streams, tokens = map(int, numbers)
                requests = [request(number, tokens) for number in range(streams)]
                started = time.perf_counter()
                for stream in [loop.submit(request) for request in requests]:
                    for _ in stream:
                        pass
                elapsed = time.perf_counter() - started
            print(elapsed, flush=True)
        loop.close()
        model.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256, help="of each stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--firsts", type=int, default=30, help="requests timed to the first token")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
