"""This project's client and OpenAI's own against the real server and a real model."""

from __future__ import annotations

import asyncio

import openai

from stillhouse.client import Client, ServedReply
from tests.server.conftest import Served

QUESTION = "How many legs has a spider?"


def test_both_clients_see_the_same_texts_and_tokens(server: Served) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model=server.model,
                messages=[{"role": "user", "content": QUESTION}],
                temperature=0,
                max_tokens=60,
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"think": True, "thinking_budget": 12},
            )
        )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens_details is not None

    with Client(server.url) as own:
        *pieces, reply = own.chat(
            QUESTION, stream=True, temperature=0, max_tokens=60, think=True, thinking_budget=12
        )
    assert isinstance(reply, ServedReply)
    texts = {"reasoning": "", "answer": ""}
    for piece in pieces:
        assert not isinstance(piece, ServedReply)
        texts[piece.kind] += piece.text
    assert texts == {"reasoning": reply.reasoning, "answer": reply.answer}
    assert reply.reasoning == "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert reply.answer == "".join(delta.content or "" for delta in deltas)
    assert reply.reasoning
    assert reply.answer
    assert reply.usage.prompt_tokens == usage.prompt_tokens
    assert reply.usage.reasoning_tokens == usage.completion_tokens_details.reasoning_tokens
    total = reply.usage.reasoning_tokens + reply.usage.answer_tokens
    assert (total, reply.counted, reply.warnings) == (usage.completion_tokens, "usage", ())


def test_the_server_is_recognised_with_its_context(server: Served) -> None:
    async def describe() -> tuple[str, str, int | None]:
        async with Client(server.url, model=server.model) as client:
            facts = await client.describe()
            return facts.engine, facts.model, facts.context_tokens

    assert asyncio.run(describe()) == ("stillhouse", server.model, 2048)
