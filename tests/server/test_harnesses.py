"""What evaluation harnesses send, as they send it: lm_eval 0.4.13 and lighteval 0.13.0.

`benchmarks/harnesses.py` runs the harnesses themselves.
"""

from __future__ import annotations

import httpx
import pytest

from tests.server.conftest import Served


def test_of_two_limits_that_differ_the_newer_name_counts(server: Served) -> None:
    # lighteval sends its task's limit under the old name, and the model's settings under the new.
    body = {
        "model": server.model,
        "messages": [{"role": "user", "content": "How many legs has a spider?"}],
        "response_format": {"type": "text"},
        "max_tokens": 256,
        "max_completion_tokens": 3,
        "stop": [],
        "n": 1,
        "temperature": 0.0,
        "seed": 0,
    }
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=30)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["choices"][0]["stillhouse"]["max_tokens"] == 3
    assert "max_tokens is 256" in answer["warnings"][0]


def test_log_likelihoods_are_read_as_lm_eval_reads_them(server: Served) -> None:
    prompts = [[28120, 314, 260, 284], [28120, 314, 260]]
    body = {
        "model": server.model,
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=30)
    assert response.status_code == 200, response.text
    choices = response.json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    for ids, choice in zip(prompts, choices, strict=True):
        # It cuts off what it holds for the prompt in front, and one written token behind.
        scores, tops = (choice["logprobs"][name] for name in ("token_logprobs", "top_logprobs"))
        assert len(scores) == len(tops) == len(ids) + 1
        assert scores[0] is None
        for score, top in zip(scores[1:], tops[1:], strict=True):
            assert score <= max(top.values()) <= 0  # equal: it is what greedy decoding would give
    first, second = (choice["logprobs"]["token_logprobs"] for choice in choices)
    assert first[1:3] == pytest.approx(second[1:3], abs=0.02)


def test_stop_strings_that_look_like_control_tokens_are_taken(server: Served) -> None:
    body = {
        "model": server.model,
        "prompt": "Question: What is 1 + 1?\nAnswer: 2\n\nQuestion: What is 2 + 2?\nAnswer:",
        "max_tokens": 40,
        "temperature": 0.0,
        "stop": ["Question:", "</s>", "<|im_end|>"],
        "seed": 1234,
    }
    response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=30)
    assert response.status_code == 200, response.text
    assert "Question:" not in response.json()["choices"][0]["text"]
