"""Thoughts on a real model over HTTP: a budget is never exceeded, and an answer always comes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.server.conftest import Served

QUESTIONS = (
    "How many legs have three spiders and two ants?",
    "Tell me a long story about a lighthouse keeper.",
    "Write the word spider again and again.",
    "What is 17 * 23? Verify it many times.",
)


def asked_together(server: Served, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The replies to all, which the engine answers in one batch."""

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = httpx.post(
            f"{server.url}/v1/chat/completions", json=body, timeout=60
        ).json()
        return reply

    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(ask, bodies))


@pytest.mark.parametrize("budget", [0, 1, 50, 500])
def test_a_budget_is_never_exceeded_and_the_answer_comes(server: Served, budget: int) -> None:
    bodies = [
        {
            "messages": [{"role": "user", "content": question}],
            "chat_template_kwargs": {"enable_thinking": True},
            "thinking_token_budget": budget,
            "temperature": 0.8 * (number % 2),
            "max_tokens": 700,
            "seed": number,
        }
        for number, question in enumerate(QUESTIONS)
    ]
    for reply in asked_together(server, bodies):
        choice, usage = reply["choices"][0], reply["usage"]
        assert usage["completion_tokens_details"]["reasoning_tokens"] <= budget
        assert choice["stillhouse"]["thinking_end"] in ("natural", "budget", "loop")
        assert choice["message"]["content"].strip()


@pytest.mark.parametrize("max_tokens", [8, 30, 200])
def test_a_reply_that_is_cut_off_still_has_an_answer(server: Served, max_tokens: int) -> None:
    bodies = [
        {
            "messages": [{"role": "user", "content": question}],
            "think": True,
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        for question in QUESTIONS
    ]
    for reply in asked_together(server, bodies):
        assert reply["choices"][0]["message"]["content"].strip()
