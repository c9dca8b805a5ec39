"""What answers at a URL."""

from __future__ import annotations

import asyncio

import pytest

from stillhouse.client import Client, ServerFacts
from stillhouse.errors import UsageError
from tests.stub_server import PERSONAS, StubServer


def described(url: str, model: str | None = None) -> ServerFacts:
    async def ask() -> ServerFacts:
        async with Client(url, model=model) as client:
            return await client.describe()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("engine", "version", "context_tokens"),
    [
        ("stillhouse", "0.1.0", 2048),
        ("llama.cpp", "b8681-Debian", 4096),
        ("vllm", "0.11.0", 32768),
        ("sglang", "0.5.3", 131072),
        ("ollama", "0.12.3", 8192),
        ("unknown", None, None),
    ],
)
def test_servers_are_recognised(
    engine: str, version: str | None, context_tokens: int | None
) -> None:
    with StubServer(engine=engine) as stub:
        facts = described(stub.url)
    assert (facts.engine, facts.version, facts.context_tokens) == (engine, version, context_tokens)
    assert facts.model == PERSONAS[engine]["/v1/models"]["data"][0]["id"]


def test_a_model_is_chosen_by_name_or_those_there_are_are_listed() -> None:
    with StubServer(engine="vllm") as stub:
        assert described(stub.url, "adapter").model == "adapter"
        with pytest.raises(UsageError, match="'gpt' is not served") as raised:
            described(stub.url, "gpt")
        assert raised.value.hint == "served: stub, adapter"
    with StubServer(engine="ollama") as stub:
        assert described(stub.url, "stub").model == "stub:latest"


def test_a_server_without_a_list_needs_a_name() -> None:
    with StubServer(engine="none") as stub:
        with pytest.raises(UsageError, match="lists no models"):
            described(stub.url)
        assert described(stub.url, "gpt").model == "gpt"
