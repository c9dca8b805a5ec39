"""Chats over HTTP with servers that are well, slow, hostile or gone."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from stillhouse.client import Client, ServedReply
from stillhouse.errors import FieldRefused, Offline, RequestFailed, UsageError
from stillhouse.questions import Prompt
from stillhouse.server.thinking import BUDGET_FIELDS, thinking_of
from stillhouse.text import Delta
from tests.stub_server import Fault, Script, StubServer

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "reasoning_tokens": 2}


def test_a_chat_comes_in_pieces_and_last_whole() -> None:
    script = Script(reasoning=("Spi", "ders."), usage=USAGE)
    with StubServer(script) as stub, Client(stub.url) as client:
        *deltas, reply = client.chat("How many legs?", stream=True)
        assert deltas == [
            Delta("reasoning", "Spi"),
            Delta("reasoning", "ders."),
            Delta("answer", "Eight"),
            Delta("answer", "."),
        ]
        assert isinstance(reply, ServedReply)
        assert (reply.reasoning, reply.answer) == ("Spiders.", "Eight.")
        assert (reply.usage.reasoning_tokens, reply.usage.answer_tokens) == (2, 2)
        assert client.chat("How many legs?").as_json().keys() == reply.as_json().keys()


def test_bytes_one_by_one_are_read_as_well() -> None:
    script = Script(reasoning=("日本",), answer=("🕷", "é"), cut_bytes=1, usage=USAGE)
    with StubServer(script) as stub, Client(stub.url) as client:
        reply = client.chat("Hello")
    assert (reply.reasoning, reply.answer, reply.num_pieces) == ("日本", "🕷é", 3)


def test_only_what_was_given_is_sent() -> None:
    with StubServer() as stub, Client(f"{stub.url}/v1/", api_key="secret") as client:
        client.chat("Hello")
        client.chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}])
        client.chat(Prompt((1, 2, 3)), max_tokens=5, stop=["x"], ignore_eos=True, seed=None)
    first, second, third = stub.asked
    assert first.path == "/v1/chat/completions"
    assert first.headers["authorization"] == "Bearer secret"
    assert first.body == {
        "model": "stub",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert [message["role"] for message in second.body["messages"]] == ["system", "user"]
    assert third.path == "/v1/completions"
    assert third.body["prompt"] == [1, 2, 3]
    assert third.body.keys() - first.body.keys() == {"prompt", "max_tokens", "stop", "ignore_eos"}


def test_thinking_is_asked_for_in_every_spelling_and_without_contradiction() -> None:
    with StubServer() as stub, Client(stub.url) as client:
        client.chat("Hello", think=True, thinking_budget=64)
    body = stub.asked[0].body
    assert {body[name] for name in BUDGET_FIELDS} == {64}
    warnings: list[str] = []
    thinking = thinking_of(body, warnings)
    assert (thinking.think, thinking.budget_tokens, warnings) == (True, 64, [])
    assert "reasoning_effort" not in body


def test_ollama_is_told_in_its_own_words_to_leave_thoughts_out() -> None:
    with StubServer(engine="ollama") as stub, Client(stub.url) as client:
        client.chat("Hello", think=False)
    body = stub.asked[0].body
    assert (body["model"], body["reasoning_effort"]) == ("stub:latest", "none")


@pytest.mark.parametrize("option", [{"tools": [{}]}, {"logprobs": 3}, {"tempreature": 1}])
def test_options_that_would_be_lost_are_refused(option: dict[str, Any]) -> None:
    with StubServer() as stub, Client(stub.url) as client:
        with pytest.raises(UsageError, match=next(iter(option))):
            client.chat("Hello", **option)
        assert not stub.asked


@pytest.mark.parametrize("options", [{"seed": 7}, {"seeds": (9, 7, 8)}])
def test_seeds_of_samples_count_up_or_are_given(options: dict[str, Any]) -> None:
    with StubServer() as stub, Client(stub.url) as client:
        assert [reply.answer for reply in client.samples("Hello", 3, **options)] == ["Eight."] * 3
    assert sorted(asked.body["seed"] for asked in stub.asked) == [7, 8, 9]


def test_connections_are_used_again() -> None:
    with StubServer() as stub, Client(stub.url, model="stub") as client:
        for _ in range(5):
            client.chat("Hello")
    assert stub.num_connections == 2  # one to describe it, one for chats


def test_a_broken_promise_to_keep_a_connection_loses_no_request() -> None:
    """As llama.cpp breaks it, after each stream."""

    async def one_after_another(url: str) -> None:
        async with Client(url, model="stub") as client:
            for _ in range(50):
                await client.achat("Hello")

    with StubServer(engine="llama.cpp") as stub:
        asyncio.run(one_after_another(stub.url))
        assert stub.num_connections == 51


def test_many_chat_at_once() -> None:
    script = Script(first_delay_s=0.2)

    async def all_of_them(url: str) -> float:
        async with Client(url, model="stub") as client:
            started = time.perf_counter()
            await asyncio.gather(*(client.achat("Hello") for _ in range(150)))
            return time.perf_counter() - started

    with StubServer(script) as stub:
        assert asyncio.run(all_of_them(stub.url)) < 5  # one after another: 30 s


def test_times_are_those_of_the_pieces() -> None:
    script = Script(reasoning=("a",), answer=("\n", "b", "c"), first_delay_s=0.1, delay_s=0.1)
    with StubServer(script) as stub, Client(stub.url, model="stub") as client:
        times = client.chat("Hello").timings
    assert times.ttft_s is not None
    assert times.ttfat_s is not None
    assert times.e2e_s is not None
    # A busy machine makes times longer, never shorter.
    assert times.ttft_s >= 0.1
    assert times.ttfat_s >= max(0.3, times.ttft_s)
    assert times.e2e_s >= max(0.4, times.ttfat_s)


def test_cancelling_gives_what_came_and_hangs_up() -> None:
    async def cancelled(url: str) -> list[Delta | ServedReply]:
        async with Client(url) as client:
            stream = await client.achat("Hello", stream=True)
            items = [await anext(stream)]
            stream.cancel()
            return items + [item async for item in stream]

    with StubServer(Script(fault="hang")) as stub:
        delta, reply = asyncio.run(cancelled(stub.url))
    assert delta == Delta("answer", "Eight")
    assert isinstance(reply, ServedReply)
    assert (reply.answer, reply.finish_reason) == ("Eight", "cancelled")


def test_a_stream_whose_reader_is_cancelled_is_closed() -> None:
    async def abandoned(url: str) -> None:
        async with Client(url) as client:
            stream = await client.achat("Hello", stream=True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.drain(), 0.1)
            assert [item async for item in stream] == []

    with StubServer(Script(fault="hang")) as stub:
        asyncio.run(abandoned(stub.url))


def test_a_stream_may_be_left_unread() -> None:
    with StubServer(Script(fault="hang")) as stub:
        with Client(stub.url) as client:
            pieces = client.chat("Hello", stream=True)
            assert next(pieces) == Delta("answer", "Eight")
        del pieces


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        (Script(fault="error"), "server", "the GPU fell off the bus"),
        (Script(fault="error_line"), "server", "the GPU fell off the bus"),
        (Script(fault="end"), "broken_stream", r"without a finish_reason or \[DONE\]"),
        (Script(fault="reset"), "broken_stream", "broke off"),
        (Script(fault="reset", fault_after=-1), "connect", "cannot be reached"),
        (Script(fault="garbage"), "broken_stream", "no JSON.*not json"),
        (Script(fault="list"), "broken_stream", "no piece of a reply"),
        (Script(fault="hang"), "timeout", r"silent for 0\.3 s"),
        (Script(first_delay_s=2), "timeout", r"silent for 0\.3 s"),
        (Script(status=500, body=b"Internal\nError"), "http_5xx", "500: Internal Error"),
        (Script(status=503), "http_5xx", "503: it says nothing"),
        (
            Script(status=429, body=b'{"error": {"message": "too many requests wait"}}'),
            "http_4xx",
            "429: too many requests wait",
        ),
        (
            Script(body=b'{"error": "no model"}', content_type="application/json"),
            "server",
            "no model",
        ),
        (Script(body=b"<html>", content_type="text/html"), "broken_stream", "text/html"),
    ],
)
def test_a_failure_is_one_line_of_its_kind(script: Script, kind: str, told: str) -> None:
    with (
        StubServer(script) as stub,
        Client(stub.url, model="stub", timeout_s=0.3) as client,
        pytest.raises(RequestFailed, match=told) as raised,
    ):
        client.chat("Hello")
    assert raised.value.kind == kind
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 400
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.message, copy.kind) == (raised.value.message, kind)


@pytest.mark.parametrize("fault", ["end", "reset"])
def test_an_end_after_the_finish_reason_is_an_end(fault: Fault) -> None:
    """Some servers leave [DONE] out, and an answer that was whole is not thrown away."""
    done = {"index": 0, "delta": {}, "finish_reason": "stop"}
    script = Script(answer=("Eight", "."), choice=done, is_done=False, fault=fault, fault_after=3)
    with StubServer(script) as stub, Client(stub.url) as client:
        reply = client.chat("Hello")
    assert (reply.answer, reply.finish_reason, reply.counted) == ("Eight.", "stop", "chunks")


def test_done_alone_is_an_end() -> None:
    with StubServer(Script(finish_reason=None)) as stub, Client(stub.url) as client:
        assert client.chat("Hello").finish_reason == "stop"


def refusal(**error: Any) -> bytes:
    return json.dumps(error).encode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (refusal(error={"message": "no", "param": "top_k"}), "top_k"),
        (refusal(detail=[{"loc": ["body", "min_p"], "msg": "Extra inputs"}]), "min_p"),
        (refusal(error={"message": "Unrecognized request argument: ignore_eos"}), "ignore_eos"),
        (refusal(message="thinking_token_budget needs a parser"), "thinking_token_budget"),
        (refusal(error="'seed' is no integer"), "seed"),
        (refusal(error="please stop; the model is gone"), None),
        (refusal(error={"message": "messages are empty", "param": "messages"}), None),
    ],
)
def test_a_refused_field_is_named(body: bytes, field: str | None) -> None:
    with (
        StubServer(Script(status=400, body=body)) as stub,
        Client(stub.url, model="stub") as client,
        pytest.raises(RequestFailed) as raised,
    ):
        client.chat("?", top_k=5, min_p=0.1, ignore_eos=True, thinking_budget=9, seed=1, stop=["x"])
    assert getattr(raised.value, "field", None) == field
    assert (raised.value.kind, raised.value.status) == ("http_4xx", 400)
    if field is not None:
        copy = pickle.loads(pickle.dumps(raised.value))
        assert isinstance(copy, FieldRefused)
        assert copy.field == field


def closed_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_dead_url_is_one_line_with_a_hint() -> None:
    url = closed_url()
    with Client(url) as client, pytest.raises(Offline, match=url) as raised:
        client.chat("Hello")
    assert raised.value.hint is not None


def test_a_server_that_has_gone_is_a_failed_request() -> None:
    async def ask_twice() -> str:
        with StubServer() as stub:
            client = Client(stub.url)
            await client.achat("Hello")
        async with client:
            with pytest.raises(RequestFailed, match="cannot be reached") as raised:
                await client.achat("Hello")
        return raised.value.kind

    assert asyncio.run(ask_twice()) == "connect"


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://", "http://h:x"])
def test_what_is_no_url_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL"):
        Client(url)


def test_importing_the_client_imports_no_numba() -> None:
    check = "import sys, stillhouse.client; assert not {'numba', 'fastapi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
