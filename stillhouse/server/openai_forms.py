"""Replies in OpenAI's forms: messages, deltas, usage; with our own cause and times beside them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Sequence
from typing import Any

from stillhouse.replies import Reply
from stillhouse.text import Delta, TokenLogprob, ToolCall
from stillhouse.workers.messages import Accepted

DONE = b"data: [DONE]\n\n"

_FINISH = {"loop": "length", "cancelled": "stop"}  # where OpenAI has no word for it


def finish_reason(reply: Reply) -> str:
    """stop, length or tool_calls."""
    return _FINISH.get(reply.finish_reason, reply.finish_reason)


def vendor(reply: Reply, accepted: Accepted) -> dict[str, Any]:
    """What OpenAI's fields cannot say of one choice."""
    return {
        "thinking_end": reply.thinking_end,
        "finish_reason": reply.finish_reason,
        "thinking_budget": accepted.thinking_budget,
        "max_tokens": accepted.max_tokens,
    }


def usage(replies: Sequence[Reply]) -> dict[str, Any]:
    """Tokens of all choices; the prompt counts once."""
    reasoning = sum(reply.usage.reasoning_tokens for reply in replies)
    completion = reasoning + sum(reply.usage.answer_tokens for reply in replies)
    prompt = replies[0].usage.prompt_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": replies[0].usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def timings(reply: Reply) -> dict[str, Any]:
    """llama.cpp's names, and milliseconds from the request to the first token, to the first of the
    answer, and before the engine began.
    """
    used, times = reply.usage, reply.timings
    predicted = used.reasoning_tokens + used.answer_tokens
    computed = used.prompt_tokens - used.cached_tokens
    prompt_s = None if times.ttft_s is None else times.ttft_s - (times.queue_s or 0.0)
    decode_s = None
    if times.e2e_s is not None and times.ttft_s is not None:
        decode_s = times.e2e_s - times.ttft_s
    return {
        "cache_n": used.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": _ms(prompt_s),
        "prompt_per_second": times.prefill_tokens_per_s,
        "predicted_n": predicted,
        "predicted_ms": _ms(decode_s),
        "predicted_per_second": times.decode_tokens_per_s,
        "ttft_ms": _ms(times.ttft_s),
        "ttfat_ms": _ms(times.ttfat_s),
        "queue_ms": _ms(times.queue_s),
        "thinking_ms": _ms(times.thinking_s),
    }


def message(reply: Reply) -> dict[str, Any]:
    """A whole reply; the thought under both of its names."""
    whole: dict[str, Any] = {"role": "assistant", "content": reply.answer}
    if reply.reasoning:
        whole |= {"reasoning_content": reply.reasoning, "reasoning": reply.reasoning}
    if reply.tool_calls:
        whole["tool_calls"] = [_call(call) for call in reply.tool_calls]
        whole["content"] = reply.answer or None
    return whole


def delta_of(delta: Delta, num_calls: int) -> dict[str, Any]:
    """A piece; `num_calls` came before it."""
    if delta.kind == "reasoning":
        return {"reasoning_content": delta.text, "reasoning": delta.text}
    if delta.kind == "answer":
        return {"content": delta.text}
    return {
        "tool_calls": [
            {"index": index, **_call(call)}
            for index, call in enumerate(delta.tool_calls, num_calls)
        ]
    }


def chat_logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """As chats have them: of the answer's tokens."""
    return {
        "content": [
            {**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top]}
            for token in tokens
        ],
        "refusal": None,
    }


def completion_logprobs(
    tokens: Sequence[TokenLogprob], start_chars: int, *, num_silent: int = 0
) -> dict[str, Any]:
    """As completions have them, in columns. The text does not show the first `num_silent` tokens.

    A token that begins within a character has the character's offset. Null are a prompt's first.
    """
    offsets, at = [], start_chars
    read = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for number, token in enumerate(tokens):
        offsets.append(at)
        if number >= num_silent:
            at += len(read.decode(token.bytes))
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [None if t.logprob is None else _by_text(t.top) for t in tokens],
        "text_offset": offsets,
    }


def _by_text(top: Iterable[TokenLogprob]) -> dict[str, float | None]:
    """Best first. Of those that read the same, as parts of characters do, the best is told."""
    told: dict[str, float | None] = {}
    for token in top:
        told.setdefault(token.text, token.logprob)
    return told


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def event(document: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + compact(document).encode(errors="replace") + b"\n\n"


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.bytes)}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
