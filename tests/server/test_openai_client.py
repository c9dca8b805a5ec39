"""OpenAI's own client against the real server and a real model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.server.conftest import Served

QUESTION: Any = [{"role": "user", "content": "How many legs has a spider?"}]
STORY: Any = [{"role": "user", "content": "Tell me a long story about a spider."}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Paris", "Rome"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
LEGS = {
    "type": "object",
    "properties": {"animal": {"enum": ["spider", "ant"]}, "legs": {"type": "integer"}},
    "required": ["animal", "legs"],
    "additionalProperties": False,
}


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def joined(chunks: list[ChatCompletionChunk], field: str, index: int = 0) -> str:
    deltas = [c.delta for chunk in chunks for c in chunk.choices if c.index == index]
    return "".join(getattr(delta, field, None) or "" for delta in deltas)


def test_a_chat_and_its_stream_say_the_same(client: openai.OpenAI, server: Served) -> None:
    whole = client.chat.completions.create(model=server.model, messages=QUESTION, temperature=0)
    assert "8" in (whole.choices[0].message.content or "")
    assert whole.choices[0].finish_reason == "stop"
    chunks = list(
        client.chat.completions.create(
            model=server.model,
            messages=QUESTION,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert joined(chunks, "content") == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_thoughts_come_apart_and_are_counted(client: openai.OpenAI, server: Served) -> None:
    asked: Any = {
        "model": server.model,
        "messages": QUESTION,
        "temperature": 0,
        "extra_body": {"think": True, "thinking_token_budget": 20},
    }
    whole = client.chat.completions.create(**asked)
    thought = whole.choices[0].message.reasoning_content  # type: ignore[attr-defined]
    assert thought
    assert thought == whole.choices[0].message.reasoning  # type: ignore[attr-defined]
    assert whole.usage is not None
    assert whole.usage.completion_tokens_details is not None
    assert 0 < (whole.usage.completion_tokens_details.reasoning_tokens or 0) <= 20
    chunks = list(client.chat.completions.create(stream=True, **asked))
    for chunk in chunks:
        delta = chunk.choices[0].delta
        assert not (getattr(delta, "reasoning_content", None) and delta.content)
    assert joined(chunks, "reasoning_content") == thought
    assert joined(chunks, "content") == whole.choices[0].message.content
    end = chunks[-1].choices[0].stillhouse  # type: ignore[attr-defined]
    assert end["thinking_end"] in ("budget", "natural")
    assert end["thinking_budget"] == 20


def test_several_choices_have_their_own_texts(client: openai.OpenAI, server: Served) -> None:
    asked: Any = {"model": server.model, "messages": STORY, "n": 3, "seed": 1, "max_tokens": 12}
    whole = client.chat.completions.create(temperature=1, **asked)
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    chunks = list(client.chat.completions.create(temperature=1, stream=True, **asked))
    assert [joined(chunks, "content", index) for index in range(3)] == texts
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 36


def test_an_answer_follows_a_schema(client: openai.OpenAI, server: Served) -> None:
    for extra in ({}, {"think": 10}):
        reply = client.chat.completions.create(
            model=server.model,
            messages=QUESTION,
            max_tokens=200,
            response_format={"type": "json_schema", "json_schema": {"name": "l", "schema": LEGS}},
            extra_body=extra,
        )
        answer = json.loads(reply.choices[0].message.content or "")
        assert answer.keys() == {"animal", "legs"}
    reply = client.chat.completions.create(
        model=server.model, messages=QUESTION, response_format={"type": "json_object"}
    )
    if reply.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


def test_a_demanded_tool_is_called_and_its_result_read(
    client: openai.OpenAI, server: Served
) -> None:
    asked: Any = {
        "model": server.model,
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": TOOLS,
        "tool_choice": "required",
        "temperature": 0,
    }
    reply = client.chat.completions.create(**asked).choices[0]
    assert reply.finish_reason == "tool_calls"
    assert reply.message.tool_calls is not None
    call: Any = reply.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    chunks = list(client.chat.completions.create(stream=True, **asked))
    streamed = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert streamed[0].function is not None
    assert streamed[0].function.arguments == call.function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    history = [
        *asked["messages"],
        reply.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 25 degrees"},
    ]
    after = client.chat.completions.create(model=server.model, messages=history, max_tokens=40)
    assert after.choices[0].message.content


def test_logprobs_are_of_the_text(client: openai.OpenAI, server: Served) -> None:
    reply = client.chat.completions.create(
        model=server.model, messages=QUESTION, logprobs=True, top_logprobs=3, max_tokens=8
    ).choices[0]
    assert reply.logprobs is not None
    assert reply.logprobs.content is not None
    assert "".join(token.token for token in reply.logprobs.content) == reply.message.content
    assert all(len(token.top_logprobs) == 3 for token in reply.logprobs.content)


def test_stop_seed_and_completions(client: openai.OpenAI, server: Served) -> None:
    stopped = client.chat.completions.create(
        model=server.model, messages=QUESTION, temperature=0, stop=["spider"]
    )
    assert "spider" not in (stopped.choices[0].message.content or "")
    asked: Any = {"model": server.model, "prompt": ["The sky is", "One, two,"], "max_tokens": 6}
    whole = client.completions.create(seed=3, **asked)
    assert [choice.index for choice in whole.choices] == [0, 1]
    streamed = list(client.completions.create(seed=3, stream=True, **asked))
    for index in (0, 1):
        text = "".join(c.text for chunk in streamed for c in chunk.choices if c.index == index)
        assert text == whole.choices[index].text


def test_models_are_listed(client: openai.OpenAI, server: Served) -> None:
    assert [model.id for model in client.models.list()] == [server.model]
    assert client.models.retrieve(server.model).id == server.model


def test_mistakes_have_the_statuses_that_the_client_knows(
    client: openai.OpenAI, server: Served
) -> None:
    ask = client.chat.completions.create
    with pytest.raises(openai.NotFoundError, match="not served"):
        ask(model="gpt-4", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="2048") as too_long:
        ask(model=server.model, messages=[{"role": "user", "content": "spider " * 3000}])
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        ask(model=server.model, messages=QUESTION, temperature=-1)
    with pytest.raises(openai.BadRequestError, match="both on and off"):
        ask(
            model=server.model,
            messages=QUESTION,
            reasoning_effort="high",
            extra_body={"think": False},
        )


def test_an_async_client_asks_many_at_once_and_may_leave(server: Served) -> None:
    async def work() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            asked: Any = {"model": server.model, "messages": QUESTION, "temperature": 0}
            replies = await asyncio.gather(
                *(client.chat.completions.create(**asked) for _ in range(6))
            )
            assert len({reply.choices[0].message.content for reply in replies}) == 1
            stream = await client.chat.completions.create(
                model=server.model, messages=STORY, stream=True, extra_body={"ignore_eos": True}
            )
            async for _ in stream:
                break
            await stream.close()
            with pytest.raises(openai.APITimeoutError):
                await client.with_options(timeout=0.3, max_retries=0).chat.completions.create(
                    model=server.model, messages=STORY, extra_body={"ignore_eos": True}
                )

    asyncio.run(work())
    server.wait_until_idle()
    assert server.metric('stillhouse_cancels_total{.*phase="decode"') >= 2
