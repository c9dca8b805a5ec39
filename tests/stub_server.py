"""A server with OpenAI's API that says, and does to its clients, what a test wants.

with StubServer(Script(answer=("Eight", "."))) as stub:
    Client(stub.url).chat("How many legs?")
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Fault = Literal["error", "error_line", "end", "reset", "hang", "garbage", "list"]
"""An error as an event or in llama.cpp's line; the stream's end, the connection's; silence; no
JSON; JSON that is no piece."""

_PROMISE = b"Keep-Alive: timeout=5, max=100\r\n"

# What servers answer to GETs, by engine; "vllm" alone has more than one model.
PERSONAS: dict[str, dict[str, Any]] = {
    "stillhouse": {
        "/v1/models": {
            "data": [
                {
                    "id": "stub",
                    "owned_by": "stillhouse",
                    "stillhouse": {"state": "loaded", "context_tokens": 2048},
                }
            ]
        },
        "/api/version": {"version": "0.1.0"},
    },
    "llama.cpp": {
        "/v1/models": {"data": [{"id": "stub", "owned_by": "llamacpp"}]},
        "/props": {"default_generation_settings": {"n_ctx": 4096}, "build_info": "b8681-Debian"},
    },
    "vllm": {
        "/v1/models": {
            "data": [
                {"id": "stub", "owned_by": "vllm", "max_model_len": 32768},
                {"id": "adapter", "owned_by": "vllm", "max_model_len": 32768},
            ]
        },
        "/version": {"version": "0.11.0"},
    },
    "sglang": {
        "/v1/models": {"data": [{"id": "stub", "owned_by": "sglang", "max_model_len": 131072}]},
        "/get_server_info": {"version": "0.5.3"},
    },
    "ollama": {
        "/v1/models": {"data": [{"id": "stub:latest", "owned_by": "library"}]},
        "/api/version": {"version": "0.12.3"},
        "/api/ps": {"models": [{"name": "stub:latest", "context_length": 8192}]},
    },
    "none": {},
    "unknown": {"/v1/models": {"data": [{"id": "stub", "owned_by": "me"}]}},
}


@dataclass(frozen=True)
class Script:
    """One reply. Pieces come `delay_s` after each other, each in a write of its own."""

    reasoning: Sequence[str] = ()
    answer: Sequence[str] = ("Eight", ".")
    thought_field: str = "reasoning_content"
    finish_reason: str | None = "stop"
    is_done: bool = True  # [DONE] comes
    usage: Mapping[str, Any] | None = None  # None: none is sent
    choice: Mapping[str, Any] = field(default_factory=dict)  # beside the last finish_reason
    first_delay_s: float = 0.0
    delay_s: float = 0.0
    fault: Fault | None = None
    fault_after: int = 1  # pieces
    status: int = 200
    body: bytes = b""  # of a status other than 200, or of a reply that is no stream
    content_type: str = "text/event-stream"
    cut_bytes: int | None = None  # each write is cut into pieces of so many

    def pieces(self) -> list[bytes]:
        """The events that carry text."""
        deltas = [{self.thought_field: text} for text in self.reasoning]
        deltas += [{"content": text} for text in self.answer]
        return [event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]

    def end(self) -> bytes:
        """What comes after the text."""
        parts = []
        if self.finish_reason is not None:
            last = {"index": 0, "delta": {}, "finish_reason": self.finish_reason, **self.choice}
            parts.append(event({"choices": [last]}))
        if self.usage is not None:
            parts.append(event({"choices": [], "usage": dict(self.usage)}))
        if self.is_done:
            parts.append(b"data: [DONE]\n\n")
        return b"".join(parts)

    def whole(self) -> bytes:
        """All events of it."""
        return ROLE + b"".join(self.pieces()) + self.end()


@dataclass(frozen=True)
class Asked:
    """A POST that the stub was sent."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: dict[str, Any]


class StubServer:
    """Answers the n-th POST with the n-th script, the last one for ever. A context manager with a
    thread of its own. `asked` are the POSTs so far, `num_connections` those that were opened.
    """

    def __init__(self, *scripts: Script, engine: str = "vllm") -> None:
        self.asked: list[Asked] = []
        self.num_connections = 0
        self.url = ""
        self._scripts = scripts or (Script(),)
        self._documents = PERSONAS[engine]
        self._is_llama_cpp = engine == "llama.cpp"
        self._loop = asyncio.new_event_loop()
        self._answering: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        self._server.close()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                pairs = (line.partition(":") for line in lines)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                method, path, _ = first.split()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if method == "GET":
                    found = path in self._documents
                    told = json.dumps(self._documents[path] if found else {"detail": "Not Found"})
                    more = _PROMISE if self._is_llama_cpp else b""
                    _whole(writer, 200 if found else 404, told.encode(), "application/json", more)
                    continue
                script = self._scripts[min(len(self.asked), len(self._scripts) - 1)]
                self.asked.append(Asked(path, headers, json.loads(body)))
                await _play(script, writer)
                if self._is_llama_cpp:  # it closes the connection, in spite of its word
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has gone, or was sent away
        finally:
            writer.close()


class _Hung(OSError):
    """The stub has ended the connection."""


async def _play(script: Script, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(script.first_delay_s)
    if script.status != 200 or script.content_type != "text/event-stream":
        _whole(writer, script.status, script.body, script.content_type)
        return
    if script.fault == "reset" and script.fault_after < 0:  # before the response
        writer.transport.abort()
        raise _Hung
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode() + _framed(ROLE))
    for number, piece in enumerate([*script.pieces(), script.end()]):
        if script.fault is not None and number == script.fault_after:
            await _spoil(script.fault, writer)
            return
        step = script.cut_bytes or len(piece) or 1
        for at in range(0, len(piece), step):
            writer.write(_framed(piece[at : at + step]))
            await writer.drain()
        await asyncio.sleep(script.delay_s)
    writer.write(b"0\r\n\r\n")


async def _spoil(fault: Fault, writer: asyncio.StreamWriter) -> None:
    if fault == "hang":
        await asyncio.sleep(3600)
    told = {
        "error": event({"error": {"message": "the GPU fell off the bus", "code": 500}}),
        "error_line": b'error: {"code": 500, "message": "the GPU fell off the bus"}\n\n',
        "garbage": b"data: {not json\n\n",
        "list": b'data: {"choices": {"a": 1}}\n\n',
    }
    if fault in told:
        writer.write(_framed(told[fault]) + b"0\r\n\r\n")
    elif fault == "end":
        writer.write(b"0\r\n\r\n")
    else:
        await writer.drain()
        writer.transport.abort()
        raise _Hung


def event(document: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})


def _framed(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _whole(
    writer: asyncio.StreamWriter, status: int, body: bytes, content_type: str, more: bytes = b""
) -> None:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + more + b"\r\n" + body)
