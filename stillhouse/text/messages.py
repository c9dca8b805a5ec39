"""The turns of a chat, checked where they enter, and their history without earlier thoughts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.text.pieces import ToolCall

# What the R1 family, and the models after it, put around a thought.
OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"

ROLES = ("system", "user", "assistant", "tool")

# The fields under which clients hand back what a model thought.
_REASONING_FIELDS = ("reasoning", "reasoning_content", "thinking")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; ``reasoning`` is the thought that came before an assistant's ``content``."""

    role: str
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()  # that an assistant made

    def __post_init__(self) -> None:
        if not isinstance(self.role, str) or self.role not in ROLES:
            raise UsageError(
                f"'{self.role}' is not the role of a message", hint="roles: " + ", ".join(ROLES)
            )
        if not isinstance(self.content, str):
            raise UsageError(f"the content of a {self.role} message is not text")


def as_messages(chat: str | Iterable[Message | Mapping[str, Any]]) -> list[Message]:
    """A bare text is one user message; a mapping needs role and content. Raises UsageError."""
    if isinstance(chat, str):
        return [Message("user", chat)]
    messages = [m if isinstance(m, Message) else _from_mapping(m) for m in chat]
    if not messages:
        raise UsageError("there are no messages")
    return messages


def without_thoughts(messages: Iterable[Message]) -> list[Message]:
    """The chat as a model should see it again: no reasoning fields, no inline <think>…</think>.

    What follows the last </think> stays as it is: that is what the R1 family's own templates keep.
    A thought that never closed is dropped whole. Doing it twice changes nothing.
    """
    return [
        replace(m, content=_after_thought(m.content), reasoning=None)
        if m.role == "assistant"
        else m
        for m in messages
    ]


def _after_thought(content: str) -> str:
    _, _, rest = content.rpartition(CLOSE_TAG)
    return "" if rest.lstrip().startswith(OPEN_TAG) else rest


def _from_mapping(fields: Mapping[str, Any]) -> Message:
    if not isinstance(fields, Mapping):
        raise UsageError("a message is an object with a role and a content")
    calls = tuple(map(_call, _list_of(fields, "tool_calls")))
    if "role" not in fields or ("content" not in fields and not calls):
        raise UsageError("a message needs a role and a content")
    thoughts = (fields[name] for name in _REASONING_FIELDS if fields.get(name))
    content: Any = fields.get("content")
    if content is None and calls:
        content = ""
    elif isinstance(content, list):
        content = "".join(map(_text_of_part, content))
    return Message(fields["role"], content, next(thoughts, None), calls)


def _list_of(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is not None and not isinstance(value, list):
        raise UsageError(f"the {name} of a message are no list")
    return value or []


def _text_of_part(part: Any) -> str:
    """Of one part of a content that is a list."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind != "text":
        raise UsageError(f"a part of a message is of the type '{kind}'", hint="only text is read")
    text = part.get("text")
    if not isinstance(text, str):
        raise UsageError("a part of a message has no text")
    return text


def _call(call: Any) -> ToolCall:
    """Of OpenAI's form, with arguments as JSON text, or of Ollama's, as an object."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError("a tool call of a message needs a function with a name")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, Mapping):
        raise UsageError(f"the arguments of a call of '{function['name']}' are no JSON object")
    text = json.dumps(dict(arguments), ensure_ascii=False)
    return ToolCall(str(call.get("id") or ""), function["name"], text)
