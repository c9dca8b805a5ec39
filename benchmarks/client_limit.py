"""The fastest server that this client can measure: streamed tokens and requests a second.

    python benchmarks/client_limit.py                        # 1, 16, 64, 256 streams
    python benchmarks/client_limit.py --streams 16 --loop uvloop --json client_limit.json

The server is a stub in a process and on a core of its own: it knows its few bytes by heart and
writes them as fast as the sockets take them, one write for every token ("tokens") or for 64 of them
("bursts"), and short replies in one ("requests"). In "steps" it does as an engine does: one token
for every stream, 20,000 a second in all, so that the client is woken for each of them.

The client is the real one, on the other core: every piece is parsed, timed, taken by its reader and
counted, and every count is compared with what the stub has sent. A server under test has to stay
well below these figures, or the client measures itself. The share of its core says which of
the two was the limit: 100 % is the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from stillhouse import __version__
from stillhouse.cli.document import commit
from stillhouse.client import Client, ServedReply
from stillhouse.hardware import this_machine

_TARGETS = {"tokens": 20_000, "requests": 2_000}  # a second, on one core
_SHORT_TOKENS = 2  # of a short request
_BURST_TOKENS = 64
_FEWEST_WITHOUT_WAITING = 16  # streams: with fewer, client and stub wait for each other's replies
_FEWEST_IN_STEPS = 64  # streams: with fewer, a step is shorter than the event loop's timers


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table."""

    what: str
    streams: int  # at once
    requests: int
    tokens: int
    seconds: float
    client_cpu_share: float  # of one core

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds


class Stub(asyncio.Protocol):
    """Answers every POST with `max_tokens` pieces, an even half of them thought, and its usage."""

    def __init__(self) -> None:
        self._received = b""
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._writing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self._received = b""
        if not body:  # the client asks who is there
            self._transport.write(_NOBODY)
            return
        wanted = json.loads(body)
        num_tokens = wanted["max_tokens"]
        if num_tokens <= _SHORT_TOKENS:
            self._transport.write(_HEAD + _ROLE + _THOUGHT + _ANSWER + _end_of(num_tokens))
        else:
            work = self._write(num_tokens, *wanted["messages"][0]["content"].split())
            self._writing = asyncio.create_task(work)

    async def _write(self, num_tokens: int, what: str, streams: str) -> None:
        self._transport.write(_HEAD + _ROLE)
        at_once = _BURST_TOKENS if what == "bursts" else 1
        step_s = int(streams) / _TARGETS["tokens"] if what == "steps" else 0.0
        loop, half = asyncio.get_running_loop(), num_tokens // 2
        due_s = loop.time()
        for piece in (_THOUGHT, _ANSWER):
            for _ in range(half // at_once):
                self._transport.write(piece * at_once)
                await self._may_write.wait()
                due_s += step_s
                await asyncio.sleep(max(0.0, due_s - loop.time()))  # 0: the other streams' turn
            self._transport.write(piece * (half % at_once))
        self._transport.write(_end_of(num_tokens))


def _chunk(payload: bytes) -> bytes:
    """As HTTP frames a part of unknown length."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _event(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    document = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "stub",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def _end_of(num_tokens: int) -> bytes:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": num_tokens,
        "completion_tokens_details": {"reasoning_tokens": num_tokens // 2},
    }
    last = _event({}, "stop", usage=usage)
    return _chunk(last) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_NOBODY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_ROLE = _chunk(_event({"role": "assistant", "content": ""}))
_THOUGHT = _chunk(_event({"reasoning_content": " spider"}))
_ANSWER = _chunk(_event({"content": " spider"}))


def main() -> int:
    """Measure, print the table, write the JSON; 1 if a count is wrong or a target is missed."""
    arguments = _arguments()
    if arguments.stub:
        _loop_of(arguments.loop)(_serve(arguments.core))
        return 0
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    rows: list[Measured] = []
    with _stub(cores[1] if len(cores) > 1 else None, arguments.loop) as url:

        async def measure_all() -> None:
            for what in ("tokens", "bursts", "steps", "requests"):
                for streams in arguments.streams:
                    if what == "steps" and streams < _FEWEST_IN_STEPS:
                        continue
                    rows.append(await _measure(url, what, streams, arguments))
                    print(_line(rows[-1]), flush=True)

        print(f"{'':10}{'streams':>8}{'tok/s':>11}{'req/s':>9}{'client':>9}")
        _loop_of(arguments.loop)(measure_all())
    least = {
        "tokens": min(row.tokens_per_s for row in rows if row.what in ("tokens", "bursts")),
        "requests": min(
            row.requests_per_s
            for row in rows
            if row.what == "requests" and row.streams >= _FEWEST_WITHOUT_WAITING
        ),
    }
    missed = [
        f"{n} {least[n]:.0f}/s of {target}" for n, target in _TARGETS.items() if least[n] < target
    ]
    document = {
        "command": "client_limit",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "loop": arguments.loop,
        "pinned": len(cores) > 1,
        "least_tokens_per_s": least["tokens"],
        "least_requests_per_s": least["requests"],
        "rows": [
            {**asdict(r), "tokens_per_s": r.tokens_per_s, "requests_per_s": r.requests_per_s}
            for r in rows
        ],
        "missed": missed,
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    for miss in missed:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if missed else 0


async def _measure(url: str, what: str, streams: int, arguments: argparse.Namespace) -> Measured:
    """`streams` readers at once, who take every piece, and ask again until enough has come."""
    is_short = what == "requests"
    per_request = _SHORT_TOKENS if is_short else arguments.tokens // streams // 2 * 2
    per_reader = max(1, arguments.requests // streams) if is_short else 1
    question = f"{what} {streams}"
    async with Client(url, model="stub") as client:
        await asyncio.gather(*(_read(client, question, _SHORT_TOKENS) for _ in range(streams)))

        async def reader() -> None:
            for _ in range(per_reader):
                await _read(client, question, per_request)

        cpu_s, started_s = time.process_time(), time.perf_counter()
        await asyncio.gather(*(reader() for _ in range(streams)))
        seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    num_requests = streams * per_reader
    return Measured(
        what, streams, num_requests, num_requests * per_request, seconds, cpu_s / seconds
    )


async def _read(client: Client, question: str, num_tokens: int) -> None:
    """One request, as `still bench` reads it. Raises RuntimeError if anything is missing."""
    num_pieces = 0
    reply: ServedReply | None = None
    async for item in await client.achat(question, stream=True, max_tokens=num_tokens):
        if isinstance(item, ServedReply):
            reply = item
        else:
            num_pieces += 1
    assert reply is not None
    half, text = num_tokens // 2, " spider"
    usage = reply.usage
    counts = (num_pieces, reply.num_pieces, usage.reasoning_tokens + usage.answer_tokens)
    if counts != (num_tokens,) * 3 or (reply.reasoning, reply.answer) != (text * half,) * 2:
        raise RuntimeError(f"of {num_tokens} tokens came {counts}")


def _line(row: Measured) -> str:
    return (
        f"{row.what:10}{row.streams:8d}{row.tokens_per_s:11,.0f}{row.requests_per_s:9,.0f}"
        f"{row.client_cpu_share:9.0%}"
    )


async def _serve(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)  # until the other end is closed


@contextmanager
def _stub(core: int | None, loop: str) -> Iterator[str]:
    command = [sys.executable, __file__, "--stub", "--loop", loop]
    command += [] if core is None else ["--core", str(core)]
    stub = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert stub.stdin is not None
    assert stub.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(stub.stdout.readline())}"
    finally:
        stub.stdin.close()
        stub.wait(10)


def _loop_of(name: str) -> Callable[[Coroutine[Any, Any, None]], None]:
    if name == "asyncio":
        return asyncio.run
    import uvloop

    def run(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)

    return run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--tokens", type=int, default=60_000, help="of all streams of a row")
    parser.add_argument("--requests", type=int, default=5_000, help="of a row of short ones")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
