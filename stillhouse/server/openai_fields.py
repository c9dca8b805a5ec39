"""What OpenAI's routes accept, and what it means to the engine."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from stillhouse.questions import ChatOptions
from stillhouse.server.bodies import Body
from stillhouse.server.errors import BadField
from stillhouse.server.thinking import FIELDS as THINKING_FIELDS
from stillhouse.server.thinking import Thinking, thinking_of

_MOST_SAMPLES = 64
_MOST_STOPS = 64
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")

# Known elsewhere, and with an effect that a client would miss.
_UNSUPPORTED = (
    "audio",
    "best_of",
    "echo",
    "function_call",
    "functions",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "grammar",
    "min_tokens",
    "modalities",
    "prediction",
    "suffix",
    "web_search_options",
)


class StreamOptions(Body):
    """What a stream carries beside its text."""

    include_usage: bool | None = None


class Request(Body):
    """What chats and completions have in common."""

    model: str | None = None
    n: int | None = Field(None, ge=1, le=_MOST_SAMPLES)
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = None
    answer_reserve: int | None = None
    stop_loops: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    keep_alive: float | str | None = None


class ResponseFormat(Body):
    """Text, some JSON object, or JSON of a schema."""

    type: str
    json_schema: dict[str, Any] | None = None


class ChatRequest(Request):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None


class CompletionRequest(Request):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: int | None = Field(None, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None


def read_common(body: Request, warnings: list[str]) -> tuple[ChatOptions, Thinking]:
    """The options of either route. Raises BadField; what has no effect goes into `warnings`."""
    extra = body.model_extra or {}
    for name in _UNSUPPORTED:
        if extra.get(name) not in (None, False, 0, "", [], {}, ["text"]):
            raise BadField(f"{name} is not supported", param=name)
    unknown = [n for n, v in extra.items() if v is not None and n not in THINKING_FIELDS]
    warnings += [f"{name[:100]} is not known here, and has no effect" for name in unknown]
    thinking = thinking_of(extra, warnings)
    options = ChatOptions(
        think=thinking.think,
        thinking_budget=thinking.budget_tokens,
        answer_reserve=body.answer_reserve,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=None if body.top_k == -1 else body.top_k,  # vLLM's spelling of all of them
        min_p=body.min_p,
        seed=body.seed,
        max_tokens=body.max_tokens,
        stop=read_stops(body.stop),
        ignore_eos=bool(body.ignore_eos),
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        repeat_penalty=_repeat_penalty(body),
        logit_bias=_logit_bias(body.logit_bias),
    )
    if body.stop_loops is not None:
        options["stop_loops"] = body.stop_loops
    return options, thinking


def read_completion(body: CompletionRequest, warnings: list[str]) -> ChatOptions:
    """The options of a completion. Raises as `read_common`."""
    options, _ = read_common(body, warnings)
    if body.logprobs is not None:
        options["logprobs"] = body.logprobs
    if body.max_tokens == 0 and not (body.echo and body.logprobs is not None):
        raise BadField("max_tokens of 0 needs echo and logprobs: nothing else comes", param="echo")
    if body.max_tokens == 0 and (body.n or 1) > 1:
        raise BadField(f"n is {body.n}, and with max_tokens of 0 all are the same", param="n")
    if body.echo and body.stream:
        raise BadField("echo is not offered for streams", param="echo")
    options["echo"] = bool(body.echo)
    return options


def read_chat(body: ChatRequest, warnings: list[str]) -> tuple[ChatOptions, Thinking]:
    """The options of a chat. Raises as `read_common`."""
    options, thinking = read_common(body, warnings)
    if body.max_completion_tokens is not None:
        # Clients built for older servers too send both; the old name is deprecated.
        if body.max_tokens not in (None, body.max_completion_tokens):
            warnings.append(
                f"max_tokens is {body.max_tokens} and max_completion_tokens"
                f" {body.max_completion_tokens}: they mean the same, and the second counts"
            )
        options["max_tokens"] = body.max_completion_tokens
    if body.logprobs:
        options["logprobs"] = body.top_logprobs or 0
    elif body.top_logprobs:
        raise BadField("top_logprobs needs logprobs to be true", param="top_logprobs")
    options["answer_schema"] = _answer_schema(body.response_format)
    options["tools"] = body.tools
    options["tool_choice"] = _tool_choice(body.tool_choice)
    continues = bool(body.continue_final_message)
    if continues and body.add_generation_prompt:
        raise BadField(
            "continue_final_message and add_generation_prompt exclude each other",
            param="continue_final_message",
        )
    if body.add_generation_prompt is False and not continues:
        raise BadField(
            "add_generation_prompt false needs continue_final_message",
            param="add_generation_prompt",
        )
    options["continue_last"] = continues
    return options, thinking


def keep_alive_s(value: float | str) -> float | None:
    """Seconds of Ollama's durations: a number, or as "5m" or "1h30m"; None for those below 0,
    which mean for ever. Raises BadField.
    """
    seconds = _seconds(value) if isinstance(value, str) else float(value)
    if seconds != seconds:
        raise BadField("keep_alive is not a number", param="keep_alive")
    return None if seconds < 0 else seconds


def _seconds(text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text.lstrip("-"):
        try:
            return float(text)
        except ValueError:
            raise BadField(
                f"keep_alive is {text[:50]!r}, and must be seconds, or as '5m'", param="keep_alive"
            ) from None
    total = sum(float(number) * units[unit] for number, unit in parts)
    return -total if text.startswith("-") else total


def read_stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _MOST_STOPS:
        raise BadField(f"{len(stops)} stop strings, and {_MOST_STOPS} may be given", param="stop")
    return stops


def _repeat_penalty(body: Request) -> float:
    given = {v for v in (body.repeat_penalty, body.repetition_penalty) if v is not None}
    if len(given) > 1:
        raise BadField(
            "repeat_penalty and repetition_penalty mean the same, and differ",
            param="repeat_penalty",
        )
    return given.pop() if given else 1.0


def _logit_bias(bias: dict[str, float] | None) -> dict[int, float]:
    try:
        return {int(token_id): value for token_id, value in (bias or {}).items()}
    except ValueError:
        raise BadField("logit_bias has a key that is no token id", param="logit_bias") from None


def _answer_schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.type != "json_schema":
        raise BadField(
            f"response_format.type is {wanted.type[:50]!r}, and must be text, json_object or"
            " json_schema",
            param="response_format",
        )
    schema = (wanted.json_schema or {}).get("schema")
    if not isinstance(schema, dict):
        raise BadField("response_format.json_schema.schema is missing", param="response_format")
    return schema


def _tool_choice(choice: str | dict[str, Any] | None) -> str:
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise BadField(
                f"tool_choice is {choice[:50]!r}, and must be auto, none, required or a function",
                param="tool_choice",
            )
        return choice
    function = choice.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadField("tool_choice names no function", param="tool_choice")
    return str(function["name"])
