"""What evaluation harnesses send, as they send it: lm_eval 0.4.13 and lighteval 0.13.0.

`benchmarks/harnesses.py` runs the harnesses themselves.
"""

from __future__ import annotations

import httpx

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
