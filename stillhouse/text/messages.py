"""The turns of a chat, checked where they enter, and their history without earlier thoughts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stillhouse.errors import UsageError

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

    def __post_init__(self) -> None:
        if self.role not in ROLES:
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
    if "role" not in fields or "content" not in fields:
        raise UsageError("a message needs a role and a content")
    thoughts = (fields[name] for name in _REASONING_FIELDS if fields.get(name))
    return Message(fields["role"], fields["content"], next(thoughts, None))
