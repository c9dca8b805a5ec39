"""Tools offered to a model: checked, told to it, and the form that a demanded call must have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.text.messages import Message
from stillhouse.text.pieces import ToolCall
from stillhouse.text.tool_calls import CLOSE_CALL, OPEN_CALL

_HOW_TO_CALL = f"""\
You may call these tools:
{{tools}}
To call one, answer with nothing but
{OPEN_CALL}
{{{{"name": <the tool's name>, "arguments": <an object with its arguments>}}}}
{CLOSE_CALL}
The result comes in the next message. Call a tool only if you need it; otherwise just answer."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What may be called. `choice`: "auto", "required", or one of the names."""

    functions: tuple[Mapping[str, Any], ...]  # each has a name; perhaps description, parameters
    choice: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(function["name"] for function in self.functions)

    @property
    def as_offered(self) -> list[dict[str, Any]]:
        """In the form of OpenAI's `tools`, which templates expect."""
        return [{"type": "function", "function": dict(f)} for f in self.functions]

    @property
    def schema(self) -> dict[str, Any] | None:
        """What a call must look like that has to be made; None where the model may choose."""
        if self.choice == "auto":
            return None
        wanted = [f for f in self.functions if self.choice in ("required", f["name"])]
        forms = [_call_schema(function) for function in wanted]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}


def offered_tools(tools: Sequence[Mapping[str, Any]] | None, choice: str) -> Tools | None:
    """The tools of a request; None if there are none, or none may be called. Raises UsageError."""
    if not tools:
        if choice not in ("auto", "none"):
            raise UsageError(f"tool_choice is '{choice}', but no tools are offered")
        return None
    functions = tuple(_function(tool) for tool in tools)
    names = [function["name"] for function in functions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two tools are called '{twice}'")
    if choice not in ("auto", "none", "required", *names):
        raise UsageError(
            f"tool_choice is '{choice}', which is not offered", hint="tools: " + ", ".join(names)
        )
    return None if choice == "none" else Tools(functions, choice)


def told_in_text(messages: Sequence[Message], tools: Tools | None) -> list[Message]:
    """The chat for a template that knows no tools: a description in the system turn, calls as the
    assistant's text, results as the user's.
    """
    told: list[Message] = []
    for message in messages:
        if message.role == "tool":
            result = f"<tool_response>\n{message.content}\n</tool_response>"
            if told and told[-1].role == "user" and told[-1].content.endswith("</tool_response>"):
                told[-1] = Message("user", f"{told[-1].content}\n{result}")
            else:
                told.append(Message("user", result))
        elif message.tool_calls:
            calls = "\n".join(map(_as_text, message.tool_calls))
            text = f"{message.content}\n{calls}" if message.content else calls
            told.append(Message(message.role, text, message.reasoning))
        else:
            told.append(message)
    if tools is None:
        return told
    listed = "\n".join(json.dumps(dict(f), ensure_ascii=False) for f in tools.functions)
    description = _HOW_TO_CALL.format(tools=listed)
    if told and told[0].role == "system":
        return [Message("system", f"{told[0].content}\n\n{description}"), *told[1:]]
    return [Message("system", description), *told]


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping):
        raise UsageError("a tool is an object: {'type': 'function', 'function': {'name': ...}}")
    if tool.get("type", "function") != "function":
        raise UsageError(f"a tool is of the type '{tool['type']}'", hint="only functions are known")
    function = tool.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError("a tool needs a function with a name")
    if not isinstance(function.get("parameters") or {}, Mapping):
        raise UsageError(f"the parameters of '{function['name']}' are no JSON schema")
    return function


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            "arguments": {"type": "object"} | dict(function.get("parameters") or {}),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _as_text(call: ToolCall) -> str:
    name = json.dumps(call.name, ensure_ascii=False)
    return f'{OPEN_CALL}\n{{"name": {name}, "arguments": {call.arguments}}}\n{CLOSE_CALL}'
