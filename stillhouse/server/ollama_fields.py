"""What Ollama's routes accept, and what it means to the engine."""

from __future__ import annotations

from typing import Any

from stillhouse.questions import ChatOptions
from stillhouse.server.bodies import Body
from stillhouse.server.errors import BadField
from stillhouse.server.openai_fields import read_stops
from stillhouse.server.thinking import FIELDS as THINKING_FIELDS
from stillhouse.server.thinking import Thinking, thinking_of


class Options(Body):
    """`options`: how to sample and when to end."""

    num_ctx: int | None = None
    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class OllamaRequest(Body):
    """What chats and generations have in common."""

    model: str | None = None
    stream: bool | None = None
    think: bool | int | str | None = None
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: float | str | None = None


class OllamaChatRequest(OllamaRequest):
    """`POST /api/chat`."""

    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None


class OllamaGenerateRequest(OllamaRequest):
    """`POST /api/generate`."""

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: str | None = None
    images: list[Any] | None = None
    template: str | None = None
    context: list[int] | None = None


class OllamaNameRequest(Body):
    """A model's name, under either of the names that clients have for it."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None


def read_options(
    body: OllamaRequest, warnings: list[str], *, context_tokens: int | None
) -> tuple[ChatOptions, Thinking]:
    """The options of either route. Raises BadField; what has no effect goes into `warnings`."""
    given = body.options or Options()
    extra = body.model_extra or {}
    unknown = [n for n, v in extra.items() if v is not None and n not in THINKING_FIELDS]
    unknown += [f"options.{name}" for name in given.model_extra or {}]
    warnings += [f"{name[:100]} is not known here, and has no effect" for name in unknown]
    if given.num_ctx is not None and context_tokens and given.num_ctx > context_tokens:
        warnings.append(
            f"options.num_ctx is {given.num_ctx}, and the context served has {context_tokens}"
        )
    thinking = thinking_of({**extra, "think": body.think}, warnings)
    if given.num_predict is not None and given.num_predict < -2:
        raise BadField("options.num_predict must be at least 1, or -1", param="options.num_predict")
    has_limit = given.num_predict is not None and given.num_predict >= 0
    options = ChatOptions(
        think=thinking.think,
        thinking_budget=thinking.budget_tokens,
        temperature=given.temperature,
        top_p=given.top_p,
        top_k=given.top_k,
        min_p=given.min_p,
        seed=None if given.seed == -1 else given.seed,
        max_tokens=given.num_predict if has_limit else None,
        stop=read_stops(given.stop),
        presence_penalty=given.presence_penalty or 0.0,
        frequency_penalty=given.frequency_penalty or 0.0,
        repeat_penalty=1.0 if given.repeat_penalty is None else given.repeat_penalty,
        answer_schema=_schema(body.format),
    )
    return options, thinking


def _schema(wanted: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, dict):
        return wanted
    if wanted != "json":
        raise BadField(f"format is {wanted[:50]!r}, and must be json or a schema", param="format")
    return {"type": "object"}
