"""Keys, names, other origins, and what never reaches a model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from stillhouse.cli.serve import serve
from stillhouse.errors import UsageError
from stillhouse.server.app import create_app
from stillhouse.server.metrics import Metrics
from stillhouse.server.settings import ServerSettings
from stillhouse.workers.messages import ModelSettings
from stillhouse.workers.pool import ModelPool
from tests.server.conftest import Served

HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}


def get(path: str, settings: ServerSettings, **headers: str) -> httpx.Response:
    """An answer of an app without models."""

    async def ask() -> httpx.Response:
        app = create_app(ModelPool([ModelSettings("none")]), Metrics(), settings)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def test_a_key_is_asked_for_everywhere_but_for_health_and_the_page() -> None:
    settings = ServerSettings(api_keys=("secret", "other"))
    assert get("/health", settings).status_code == 200
    assert get("/", settings).status_code == 200
    for path in ("/v1/models", "/api/tags", "/metrics", "/openapi.json"):
        assert get(path, settings).status_code == 401
        assert get(path, settings, Authorization="Bearer wrong").status_code == 401
        assert get(path, settings, Authorization="Bearer other").status_code == 200
    assert "error" in get("/api/tags", settings).json()
    assert get("/v1/models", settings).json()["error"]["type"] == "authentication_error"


def test_on_loopback_only_local_names_are_answered() -> None:
    for host in ("localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"):
        assert get("/v1/models", ServerSettings(), Host=host).status_code == 200
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example"):
        assert get("/v1/models", ServerSettings(), Host=host).status_code == 403
    outside = ServerSettings(host="0.0.0.0")
    assert get("/v1/models", outside, Host="box.example").status_code == 200


def test_other_origins_are_closed_unless_named() -> None:
    allowed = "access-control-allow-origin"
    origin = "https://app.example"
    assert allowed not in get("/v1/models", ServerSettings(), Origin=origin).headers
    named = ServerSettings(cors_origins=(origin,))
    assert get("/v1/models", named, Origin=origin).headers[allowed] == origin
    assert allowed not in get("/v1/models", named, Origin="https://evil.example").headers


def test_pages_of_other_origins_cannot_even_spend_our_time() -> None:
    for origin in ("https://evil.example", "http://localhost:3000", "null"):
        assert get("/v1/models", ServerSettings(), Origin=origin).status_code == 403
    assert get("/v1/models", ServerSettings(), Origin="http://localhost").status_code == 200
    assert get("/v1/models", ServerSettings(), Origin="app://desktop").status_code == 200
    everybody = ServerSettings(cors_origins=("*",))
    assert get("/v1/models", everybody, Origin="https://evil.example").status_code == 200


def test_the_page_may_ask_nobody_else() -> None:
    policy = get("/", ServerSettings()).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy


def test_unknown_paths_and_methods_are_errors_of_their_api() -> None:
    assert "error" in get("/v1/nothing", ServerSettings()).json()
    assert get("/v1/chat/completions", ServerSettings()).status_code == 405
    assert "not offered" in get("/api/blobs/x", ServerSettings()).json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"messages": "x"}', b'{"messages": [{}]}',
     b'{"messages": [{"role": "user", "content": "\\ud800"}]}', b"[" * 100_000,
     b'{"messages": [{"role": "owl", "content": "x"}]}', b'{"messages": []}',
     json.dumps(HELLO | {"n": 1000}).encode(), json.dumps(HELLO | {"top_p": "high"}).encode(),
     json.dumps(HELLO | {"echo": True}).encode(), json.dumps(HELLO | {"tools": [1]}).encode()],
    ids=lambda body: body[:30].decode(errors="replace"),
)  # fmt: skip
def test_a_malformed_body_is_a_400_that_says_why(server: Served, body: bytes) -> None:
    response = httpx.post(f"{server.url}/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_a_body_may_be_large_but_not_endless(server: Served) -> None:
    response = httpx.post(f"{server.url}/v1/chat/completions", content=b" " * 17_000_000)
    assert response.status_code == 413


def test_unknown_fields_are_answered_with_warnings(server: Served) -> None:
    url = f"{server.url}/v1/chat/completions"
    whole = httpx.post(url, json=HELLO | {"mirostat": 2}, timeout=30).json()
    assert "mirostat" in whole["warnings"][0]
    text = httpx.post(url, json=HELLO | {"mirostat": 2, "stream": True}, timeout=30).text
    assert "mirostat" in text
    body = HELLO | {"model": server.model, "mirostat": 2, "stream": False}
    assert httpx.post(f"{server.url}/api/chat", json=body, timeout=30).json()["warnings"]


def test_a_killed_worker_fails_what_it_ran_and_the_server_goes_on(server: Served) -> None:
    url = f"{server.url}/v1/chat/completions"
    body = HELLO | {"max_tokens": 400, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", url, json=body, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        workers = [
            int(pid)
            for pid in children
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(workers[0], signal.SIGKILL)
        told = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert told[-1]["error"]["code"] == "worker_died"
    assert "SIGKILL" in told[-1]["error"]["message"]
    assert httpx.post(url, json=HELLO, timeout=30).status_code == 200  # waits for the new one
    assert server.metric("stillhouse_worker_restarts_total") == 1


def test_a_full_queue_is_a_429_or_a_503_with_a_time(server: Served) -> None:
    async def work() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            chat = client.post("/v1/chat/completions", json=HELLO)
            more = [client.post("/v1/chat/completions", json=HELLO) for _ in range(60)]
            ollama = [client.post("/api/chat", json=HELLO | {"stream": False}) for _ in range(40)]
            return list(await asyncio.gather(chat, *more, *ollama))

    answers = asyncio.run(work())
    assert {answer.status_code for answer in answers} <= {200, 429, 503}
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_a_port_that_is_taken_is_the_users_mistake(smollm2_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen"):
            serve([str(smollm2_path)], port=taken.getsockname()[1])


def test_a_running_chat_can_be_told_to_answer_or_to_stop(server: Served) -> None:
    url = f"{server.url}/v1/chat/completions"
    # It cannot end by itself before it is told: the model alone may say hello and be done.
    endless = {"max_tokens": 700, "ignore_eos": True, "stop_loops": False, "seed": 1}
    for action, answers in (("reasoning_end", True), ("cancel", False)):
        body = HELLO | endless | {"think": True, "stream": True}
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            lines = response.iter_lines()
            name = json.loads(next(lines)[6:])["id"]
            control = httpx.post(f"{url}/control", json={"id": name, "action": action})
            assert control.json()["success"]
            told = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert told[-1]["choices"][0]["stillhouse"]["thinking_end"] == "client"
        deltas = [choice["delta"] for chunk in told for choice in chunk["choices"]]
        assert any(delta.get("content") for delta in deltas) == answers
    gone = httpx.post(f"{url}/control", json={"id": name, "action": "cancel"})
    assert gone.status_code == 404
