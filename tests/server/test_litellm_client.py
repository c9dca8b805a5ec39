"""litellm's client, by both of the APIs that it could speak to us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.server.conftest import Served

# In a process of its own: the library leaves event loops and sockets open at its import, which
# takes seconds, so that one process asks for both.
_ASK = """
import json, sys, litellm
for asked in json.loads(sys.argv[1]):
    whole = litellm.completion(**asked)
    chunks = list(litellm.completion(stream=True, **asked))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    print(json.dumps([whole.choices[0].message.content, text]))
"""


def test_litellm_talks_to_either_api(server: Served, tmp_path: Path) -> None:
    question = {
        "messages": [{"role": "user", "content": "How many legs has a spider?"}],
        "temperature": 0,
        "max_tokens": 40,
        "api_key": "none",
    }
    asked = [
        question | {"model": f"openai/{server.model}", "api_base": f"{server.url}/v1"},
        question | {"model": f"ollama_chat/{server.model}", "api_base": server.url},
    ]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # or it fetches prices
    command = [sys.executable, "-c", _ASK, json.dumps(asked)]
    told = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr.decode()
    replies = [json.loads(line) for line in told.stdout.splitlines() if line.startswith(b'["')]
    assert len(replies) == len(asked)
    for whole, streamed in replies:
        assert "8" in whole
        assert streamed == whole
