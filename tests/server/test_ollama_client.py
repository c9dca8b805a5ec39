"""Ollama's own client against the real server and a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tests.server.conftest import Served

QUESTION: Any = [{"role": "user", "content": "How many legs has a spider?"}]
STORY: Any = [{"role": "user", "content": "Tell me a long story about a spider."}]
EXACT: Any = {"temperature": 0, "num_predict": 60}


@pytest.fixture
def client(server: Served) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url) as client:
        yield client


def test_a_chat_and_its_stream_say_the_same(client: ollama.Client, server: Served) -> None:
    whole = client.chat(server.model, QUESTION, options=EXACT)
    assert "8" in (whole.message.content or "")
    assert (whole.done, whole.done_reason) == (True, "stop")
    parts = list(client.chat(server.model, QUESTION, options=EXACT, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts].count(True) == 1
    assert parts[-1].eval_count == whole.eval_count
    assert (parts[-1].eval_duration or 0) > 0


def test_thoughts_come_apart(client: ollama.Client, server: Served) -> None:
    for think in (True, "low"):
        reply = client.chat(server.model, STORY, think=think, options=EXACT)  # type: ignore[arg-type]
        assert reply.message.thinking
        assert reply.message.content
    assert client.chat(server.model, QUESTION, think=False, options=EXACT).message.thinking is None
    parts = list(
        client.generate(server.model, "Tell a story", think=True, options=EXACT, stream=True)
    )
    assert any(part.thinking for part in parts)
    assert not any(part.thinking and part.response for part in parts)


def test_an_answer_follows_a_format(client: ollama.Client, server: Served) -> None:
    schema = {"type": "object", "properties": {"legs": {"const": 8}}, "required": ["legs"]}
    exact = schema | {"additionalProperties": False}
    reply = client.generate(server.model, "Legs of a spider?", format=exact, options=EXACT)
    assert json.loads(reply.response) == {"legs": 8}


def test_tools_reach_the_model(client: ollama.Client, server: Served) -> None:
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    reply = client.chat(server.model, QUESTION, tools=[add], options=EXACT)
    assert reply.message.content or reply.message.tool_calls
    call = {"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}
    history = [
        *QUESTION,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_name": "add"},
    ]
    assert client.chat(server.model, history, options=EXACT).message.content


def test_models_can_be_looked_at(client: ollama.Client, server: Served) -> None:
    assert [model.model for model in client.list().models] == [server.model]
    shown = client.show(server.model)
    assert shown.details is not None
    assert shown.details.family == "llama"
    assert shown.template
    client.generate(server.model)  # loads it
    assert [model.model for model in client.ps().models] == [server.model]


def test_raw_prompts_and_mistakes(client: ollama.Client, server: Served) -> None:
    assert client.generate(server.model, "The sky is", raw=True, options=EXACT).response
    with pytest.raises(ollama.ResponseError, match="not served") as refused:
        client.chat("llama3", QUESTION)
    assert refused.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="temperature"):
        client.chat(server.model, QUESTION, options={"temperature": -1})
    with pytest.raises(ollama.ResponseError, match="no-such"):
        client.pull("./no-such-model.gguf")
    with pytest.raises(ollama.ResponseError, match="not offered"):
        client.delete(server.model)
