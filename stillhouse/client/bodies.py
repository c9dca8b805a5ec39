"""What a chat and its options are in a request, in every peer's spelling of them."""

from __future__ import annotations

from typing import Any

from stillhouse.errors import UsageError
from stillhouse.questions import Chat, ChatOptions, Prompt
from stillhouse.text import Message, ToolCall, as_messages

# stillhouse, vLLM, llama.cpp (three) and chat templates; SGLang's is within custom_params.
_BUDGET_FIELDS = (
    "thinking_token_budget",
    "thinking_budget_tokens",
    "reasoning_budget_tokens",
    "reasoning_budget",
    "thinking_budget",
)
_SAME_NAME = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "max_tokens",
    "presence_penalty",
    "frequency_penalty",
    "answer_reserve",
    "stop_loops",
)
_NOT_OFFERED = ("logprobs", "echo", "tools", "tool_choice", "continue_last")


def body_of(
    chat: Chat | Prompt, options: ChatOptions, *, model: str, engine: str
) -> dict[str, Any]:
    """The JSON of a streamed request: only fields that were given. Raises UsageError.

    `engine` is the server's: Ollama takes no other word for "without thoughts" than
    an effort that other servers refuse.
    """
    body: dict[str, Any] = {"model": model}
    if isinstance(chat, Prompt):
        content = chat.content
        body["prompt"] = content if isinstance(content, str) else list(content)
    else:
        body["messages"] = [_message(message) for message in as_messages(chat)]
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    given = {name: value for name, value in options.items() if value is not None}
    for name in _NOT_OFFERED:
        if given.pop(name, None):
            raise UsageError(f"{name} is not offered for models behind a URL")
    for name in _SAME_NAME:
        if name in given:
            body[name] = given.pop(name)
    if stops := tuple(given.pop("stop", ())):  # type: ignore[arg-type, var-annotated]
        body["stop"] = list(stops)
    if given.pop("ignore_eos", False):
        body["ignore_eos"] = True
    if "repeat_penalty" in given:  # llama.cpp's name, and vLLM's
        body["repeat_penalty"] = body["repetition_penalty"] = given.pop("repeat_penalty")
    if bias := given.pop("logit_bias", None):
        body["logit_bias"] = {str(i): value for i, value in bias.items()}  # type: ignore[attr-defined]
    if "answer_schema" in given:
        schema = {"name": "answer", "schema": given.pop("answer_schema")}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    _add_thinking(body, given, engine)
    if given:
        raise UsageError(f"'{next(iter(given))}' is not an option of a chat")
    return body


def _add_thinking(body: dict[str, Any], given: dict[str, Any], engine: str) -> None:
    think, budget = given.pop("think", None), given.pop("thinking_budget", None)
    if budget is not None:
        if budget < 0:
            raise UsageError(f"thinking_budget is {budget}, and must be at least 0")
        body |= dict.fromkeys(_BUDGET_FIELDS, budget)
        body["custom_params"] = {"thinking_budget": budget}
    if think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": think, "thinking": think}
        if engine == "ollama" and not think:
            body["reasoning_effort"] = "none"


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        fields["reasoning_content"] = message.reasoning
    if message.tool_calls:
        fields["tool_calls"] = [_call(call) for call in message.tool_calls]
    return fields


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
