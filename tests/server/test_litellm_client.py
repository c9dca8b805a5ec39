"""litellm's client, by both of the APIs that it could speak to us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Served

# In a process of its own: the library leaves event loops and sockets open at its import.
_ASK = """
import json, sys, litellm
asked = json.loads(sys.argv[1])
whole = litellm.completion(**asked)
chunks = list(litellm.completion(stream=True, **asked))
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
print(json.dumps([whole.choices[0].message.content, text]))
"""


@pytest.mark.parametrize("provider", ["openai", "ollama_chat"])
def test_litellm_talks_to_either_api(server: Served, provider: str, tmp_path: Path) -> None:
    asked = {
        "model": f"{provider}/{server.model}",
        "messages": [{"role": "user", "content": "How many legs has a spider?"}],
        "temperature": 0,
        "max_tokens": 40,
        "api_base": f"{server.url}/v1" if provider == "openai" else server.url,
        "api_key": "none",
    }
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # or it fetches prices
    command = [sys.executable, "-c", _ASK, json.dumps(asked)]
    told = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr.decode()
    whole, streamed = json.loads(told.stdout.splitlines()[-1])
    assert "8" in whole
    assert streamed == whole
