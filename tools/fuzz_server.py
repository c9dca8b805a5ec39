"""Sends malformed bodies to a running server: no answer may be a 5xx, and no worker may die.

    still serve smollm2:135m --port 8091 &
    python tools/fuzz_server.py http://127.0.0.1:8091 --bodies 20000

Bodies are valid ones with something broken in them: fields of a wrong type, huge numbers, NaN, deep
nesting, cut and flipped bytes, lone surrogates. Some of them stay valid, and are answered.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import re
from collections import Counter
from typing import Any

import httpx

_CHAT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 1,
    "stop": ["."],
    "seed": 1,
    "logprobs": True,
    "top_logprobs": 1,
    "stream": False,
    "thinking_token_budget": 1,
    "reasoning_effort": "low",
    "logit_bias": {"5": 1.0},
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "stream_options": {"include_usage": True},
    "keep_alive": "5m",
}
_OLLAMA: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "stream": False,
    "think": True,
    "format": "json",
    "options": {"num_predict": 2, "temperature": 0.5, "stop": ["."], "num_ctx": 100, "seed": 1},
    "keep_alive": -1,
}
_GENERATE = {k: v for k, v in _OLLAMA.items() if k != "messages"} | {"prompt": "Hi", "raw": False}
_VALID: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", _CHAT),
    ("/v1/completions", {"prompt": "Hi", "max_tokens": 2, "n": 1, "logprobs": 1, "stop": "."}),
    ("/api/chat", _OLLAMA),
    ("/api/generate", _GENERATE),
    ("/api/show", {"model": "x"}),
    ("/v1/chat/completions/control", {"id": "x", "action": "cancel"}),
)
_ODD: tuple[Any, ...] = (
    None, True, "", "\ud800", "x" * 3000, 0, -1, 10**30, -(10**30), 1e308, float("nan"),
    float("inf"), 1.5, [], {}, [None], [[]], {"a": {"b": [1]}}, "<think>", "\x00", ["", ""],
)  # fmt: skip


def main() -> int:
    """Send, count, and say whether the server stood it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8)
    arguments = parser.parse_args()
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    rng = random.Random(arguments.seed)
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    numbers = iter(range(arguments.bodies))
    async with httpx.AsyncClient(base_url=arguments.url, timeout=120) as client:

        async def send() -> None:
            for number in numbers:
                path, body = _malformed(rng)
                response = await client.post(path, content=body)
                statuses[response.status_code] += 1
                if response.status_code >= 500:
                    failures.append(f"{path} {response.text[:200]} {body[:300]!r}")
                if number and number % 2000 == 0:
                    print(f"{number} sent: {dict(sorted(statuses.items()))}", flush=True)

        await asyncio.gather(*(send() for _ in range(arguments.at_once)))
        health = (await client.get("/health")).status_code
        text = (await client.get("/metrics")).text
    restarts = sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if re.match(r"stillhouse_worker_restarts_total\{", line)
    )
    print(f"{sum(statuses.values())} bodies: {dict(sorted(statuses.items()))}")
    print(f"5xx: {len(failures)}, workers that died: {restarts:.0f}, health: {health}")
    for failure in failures[:20]:
        print(failure)
    return 1 if failures or restarts or health != 200 else 0


def _malformed(rng: random.Random) -> tuple[str, bytes]:
    """A path, and a body with something wrong in it."""
    path, valid = rng.choice(_VALID)
    if rng.random() < 0.15:
        return path, _broken_text(rng, json.dumps(valid).encode())
    body = json.loads(json.dumps(valid))
    for name in rng.sample([*body], k=rng.randrange(len(body))):
        if name not in ("max_tokens", "options", "messages", "prompt"):
            del body[name]  # so that what is left has a chance to be reached
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        _break_somewhere(rng, body)
    text = json.dumps(body)
    if rng.random() < 0.02:
        depth = rng.choice([50, 2000, 100_000])
        text = '{"messages": ' + "[" * depth + "]" * depth + "}"
    return path, text.encode("utf-8", "surrogatepass")


def _break_somewhere(rng: random.Random, value: Any) -> None:
    """Puts something odd in the place of a value, at any depth."""
    while True:
        keys = [*value] if isinstance(value, dict) else [*range(len(value))]
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.6:
            value = value[key]
            continue
        value[key] = copy.deepcopy(rng.choice(_ODD))
        return


def _broken_text(rng: random.Random, text: bytes) -> bytes:
    """Cut, flipped, doubled, or no JSON at all."""
    at = rng.randrange(len(text))
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
    if kind == 2:
        return text + text[at:]
    return rng.randbytes(rng.randrange(200))


if __name__ == "__main__":
    raise SystemExit(main())
