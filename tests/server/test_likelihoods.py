"""Log-likelihoods over HTTP, as lm-evaluation-harness and our own client ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from stillhouse.checkpoints import open_checkpoint
from stillhouse.client import Client
from stillhouse.text import Tokenizer
from tests.server.conftest import Served

PROMPT = "Question: What is the capital of France?\nAnswer:"
CHOICES = [" Paris", " London", " Berlin, of course", " 🕷 é"]


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(smollm2_path: Path) -> Tokenizer:
    with open_checkpoint(smollm2_path) as checkpoint:
        return Tokenizer.from_metadata(checkpoint.metadata)


def as_the_harness_asks(client: openai.OpenAI, model: str, prompt: Any) -> list[Any]:
    """`LocalCompletionsAPI._create_payload` of lm-eval 0.4.9, without `generate`."""
    completion = client.completions.create(
        model=model, prompt=prompt, temperature=0, max_tokens=1, logprobs=1, seed=1234, echo=True
    )
    return sorted(completion.choices, key=lambda choice: choice.index)


def as_the_harness_reads(choice: Any, num_context: int) -> tuple[float, bool]:
    """`parse_logprobs`: the last token is the one that was said."""
    logprobs = choice.logprobs.token_logprobs[num_context:-1]
    tops = choice.logprobs.top_logprobs[num_context:-1]
    pairs = zip(logprobs, tops, strict=True)
    return sum(logprobs), all(p == max(top.values()) for p, top in pairs)


def test_the_harness_and_our_client_find_the_same(
    client: openai.OpenAI, server: Served, tokenizer: Tokenizer
) -> None:
    context = tokenizer.encode(PROMPT)
    whole = [tokenizer.encode(PROMPT + choice) for choice in CHOICES]
    told = [
        as_the_harness_reads(choice, len(context))
        for choice in as_the_harness_asks(client, server.model, whole)
    ]
    as_text = [
        as_the_harness_reads(choice, len(context))
        for choice in as_the_harness_asks(client, server.model, [PROMPT + c for c in CHOICES])
    ]
    with Client(server.url) as ours:
        found = ours.likelihoods(PROMPT, CHOICES)
        shifted = ours.likelihoods(PROMPT + " ", [choice[1:] for choice in CHOICES])
    for texts in (as_text, [(f.total, f.is_greedy) for f in found]):
        assert [total for total, _ in texts] == pytest.approx([t for t, _ in told], abs=0.05)
        assert [greedy for _, greedy in texts] == [greedy for _, greedy in told]
    assert [f.num_tokens for f in found] == [len(ids) - len(context) for ids in whole]
    assert [f.total for f in shifted] == pytest.approx([f.total for f in found], abs=0.05)
    server.wait_until_idle()


def test_an_echo_is_the_prompt_and_what_follows_in_columns_of_one_length(
    client: openai.OpenAI, server: Served, tokenizer: Tokenizer
) -> None:
    prompts = ["The 🕷 has eight", "One, two,"]
    for given in (prompts, [tokenizer.encode(prompt) for prompt in prompts]):
        asked: Any = {"model": server.model, "prompt": given, "temperature": 0, "max_tokens": 4}
        plain = client.completions.create(**asked)
        echoed = client.completions.create(echo=True, logprobs=2, **asked)
        for prompt, said, choice in zip(prompts, plain.choices, echoed.choices, strict=True):
            assert choice.text == prompt + said.text
            columns = choice.logprobs
            assert columns is not None
            assert columns.tokens
            assert columns.text_offset
            assert columns.token_logprobs
            num_prompt = len(tokenizer.encode(prompt))
            assert len(columns.tokens) == num_prompt + 4
            assert columns.token_logprobs[0] is None
            assert all(p is not None and p < 0 for p in columns.token_logprobs[1:])
            assert columns.text_offset[num_prompt] == len(prompt)
            for text, offset in zip(columns.tokens, columns.text_offset, strict=True):
                assert "�" in text or choice.text[offset:].startswith(text)


def test_a_decoded_text_is_as_probable_as_it_was_when_it_was_said(
    client: openai.OpenAI, server: Served, tokenizer: Tokenizer
) -> None:
    prompt = tokenizer.encode("Once upon a time, there was a")
    said = client.completions.create(
        model=server.model, prompt=prompt, max_tokens=16, temperature=0, logprobs=1
    ).choices[0]
    assert said.logprobs is not None
    assert said.logprobs.token_logprobs
    ids = prompt + tokenizer.encode(said.text)
    (choice,) = as_the_harness_asks(client, server.model, [ids])
    total, is_greedy = as_the_harness_reads(choice, len(prompt))
    assert total == pytest.approx(sum(said.logprobs.token_logprobs), abs=0.05)
    assert is_greedy


def test_an_echo_ends_with_one_said_token_also_where_it_is_the_last(
    client: openai.OpenAI, server: Served, tokenizer: Tokenizer
) -> None:
    """Or the harness would take the continuation's last token for it."""
    (choice,) = as_the_harness_asks(client, server.model, [PROMPT])
    assert choice.finish_reason == "stop"
    assert choice.text == PROMPT
    assert len(choice.logprobs.tokens) == len(tokenizer.encode(PROMPT)) + 1


def test_texts_until_a_stop_come_for_many_prompts_as_the_harness_asks(
    client: openai.OpenAI, server: Served, tokenizer: Tokenizer
) -> None:
    prompts = ["Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA:", "Q: 2 + 1?\nA: 3\n\nQ: 3 + 3?\nA:"]
    asked: Any = {
        "model": server.model,
        "max_tokens": 10,
        "temperature": 0,
        "stop": ["Q:", "</s>", "<|im_end|>", "<|endoftext|>"],
        "seed": 1234,
    }
    whole = client.completions.create(
        prompt=[tokenizer.encode(prompt) for prompt in prompts], **asked
    )
    assert [choice.index for choice in whole.choices] == [0, 1]
    for prompt, choice in zip(prompts, whole.choices, strict=True):
        assert choice.text
        assert "Q:" not in choice.text
        alone = client.completions.create(prompt=prompt, **asked)
        assert alone.choices[0].text == choice.text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"max_tokens": 0}, "needs echo and logprobs"),
        ({"max_tokens": 0, "echo": True}, "needs echo and logprobs"),
        ({"max_tokens": 0, "echo": True, "logprobs": 1, "n": 2}, "all are the same"),
        ({"max_tokens": 1, "echo": True, "stream": True}, "not offered for streams"),
        ({"max_tokens": 0, "echo": True, "logprobs": 1, "prompt": [5]}, "at least two tokens"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_line(server: Served, fields: Any, told: str) -> None:
    body = {"model": server.model, "prompt": "The sky", **fields}
    response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=30)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]


def test_likelihoods_among_chats_are_those_alone_and_leave_no_blocks(server: Served) -> None:
    async def all_at_once() -> None:
        async with Client(server.url) as ours:
            before = await ours.alikelihoods(PROMPT, CHOICES[:2])
            *chats, found = await asyncio.gather(
                *(ours.achat("Tell me a story.", max_tokens=12) for _ in range(2)),
                ours.alikelihoods(PROMPT, CHOICES[:2]),
            )
        assert [f.total for f in found] == pytest.approx([f.total for f in before], abs=0.05)
        assert all(reply.answer for reply in chats)

    asyncio.run(all_at_once())
    server.wait_until_idle()
