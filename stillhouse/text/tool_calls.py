"""Calls of tools told from the text of an answer, while it comes.

Models write a call as JSON, `{"name": ..., "arguments": {...}}`, between tags, in a fenced block,
or as it is. Text that may still become a call is held back; what does not become one is text.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from typing import Any

from stillhouse.text.pieces import ToolCall

OPEN_CALL = "<tool_call>"
CLOSE_CALL = "</tool_call>"
_FENCES = ("```json", "```")
_FENCE_END = "```"
_ID_CHARS = 24
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_FIRST_KEYS = ("name", "function", "type", "id", "arguments", "parameters")
_BEGINNING = re.compile(r"(?:\[\s*)?(?:\{\s*(?:\"([^\"]*)(\"?))?)?")
_DECODER = json.JSONDecoder()


class ToolCallReader:
    """Text in, text and calls out; the same however the text is cut.

    A call between tags may name any tool. Bare or fenced JSON is a call where it names one of the
    `names` that were offered, and stands at the beginning of the answer or right after a call.
    """

    def __init__(self, names: Iterable[str], rng: random.Random) -> None:
        self._names = frozenset(names)
        self._rng = rng
        self._held = ""
        self._num_calls = 0
        self._at_start = True  # nothing but white space and calls so far

    @property
    def held_chars(self) -> int:
        """Characters that are held back by now."""
        return len(self._held)

    def push(self, text: str) -> list[str | ToolCall]:
        """What is certain by now; never an empty text."""
        self._held += text
        return self._read(is_last=False)

    def finish(self) -> list[str | ToolCall]:
        """What was held back, as the call that it is, or as text."""
        return self._read(is_last=True)

    def _read(self, *, is_last: bool) -> list[str | ToolCall]:
        items: list[str | ToolCall] = []
        while self._held:
            found = self._next(is_last=is_last)
            if not found:
                break
            items += found
        return _joined(items)

    def _next(self, *, is_last: bool) -> list[str | ToolCall]:
        """The next text or calls from what is held, or nothing if more must come first."""
        body = self._held.lstrip()
        if not body and (self._at_start or is_last):
            return self._last_space() if is_last else []
        if body.startswith(OPEN_CALL):
            return self._tagged(body.removeprefix(OPEN_CALL), is_last=is_last)
        if self._at_start and body.startswith(("{", "[", "`")):
            return self._bare(body, is_last=is_last)
        if self._at_start and not is_last and OPEN_CALL.startswith(body):
            return []
        start = self._held.find(OPEN_CALL)
        if start > 0:
            return self._give(len(self._held[:start].rstrip()))
        keep = 0 if is_last else self._length_to_keep()
        return self._give(len(self._held) - keep) if keep < len(self._held) else []

    def _length_to_keep(self) -> int:
        """The end of what is held that may begin a call, with the white space before it."""
        begun = next(
            (n for n in range(len(OPEN_CALL) - 1, 0, -1) if self._held.endswith(OPEN_CALL[:n])), 0
        )
        before = self._held[: len(self._held) - begun]
        return begun + len(before) - len(before.rstrip())

    def _last_space(self) -> list[str | ToolCall]:
        """White space at the very end, which after a call is nobody's."""
        if self._at_start and self._num_calls:
            self._held = ""
            return []
        return self._give(len(self._held))

    def _tagged(self, inner: str, *, is_last: bool) -> list[str | ToolCall]:
        content, tag, rest = inner.partition(CLOSE_CALL)
        if not tag and not is_last:
            return []
        calls = self._calls(content, any_name=True)
        if calls:
            return self._take(calls, rest)
        return self._give(len(self._held) - len(inner))

    def _bare(self, body: str, *, is_last: bool) -> list[str | ToolCall]:
        """JSON without tags, perhaps in a fenced block; text as soon as it cannot be a call."""
        as_text = self._give_first
        if not is_last and _FENCES[0].startswith(body):
            return []
        fence = next((fence for fence in _FENCES if body.startswith(fence)), "")
        inner = body.removeprefix(fence).lstrip()
        if not _may_be_call(inner):
            return as_text()
        try:
            _, end = _DECODER.raw_decode(inner)
        except (ValueError, RecursionError):
            return as_text() if is_last else []
        rest = inner[end:]
        if fence:
            after = rest.lstrip()
            if not is_last and len(after) < len(_FENCE_END) and _FENCE_END.startswith(after):
                return []
            rest = after.removeprefix(_FENCE_END) if after.startswith(_FENCE_END) else rest
        calls = self._calls(inner[:end], any_name=False)
        return self._take(calls, rest) if calls else as_text()

    def _calls(self, content: str, *, any_name: bool) -> list[ToolCall]:
        """The calls that the JSON text says, or none if it is something else."""
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return []
        values = value if isinstance(value, list) else [value]
        parts = [_name_and_arguments(value) for value in values]
        calls: list[ToolCall] = []
        for part in parts:
            if part is None or not (any_name or part[0] in self._names):
                return []
            calls.append(ToolCall(self._new_id(), *part))
        return calls

    def _new_id(self) -> str:
        return "call_" + "".join(self._rng.choices(_LETTERS, k=_ID_CHARS))

    def _take(self, calls: list[ToolCall], rest: str) -> list[str | ToolCall]:
        self._held = rest
        self._at_start = True
        self._num_calls += len(calls)
        return [*calls]

    def _give_first(self) -> list[str | ToolCall]:
        """The first character that is no white space, as text: no call begins with it."""
        return self._give(len(self._held) - len(self._held.lstrip()) + 1)

    def _give(self, num_chars: int) -> list[str | ToolCall]:
        text, self._held = self._held[:num_chars], self._held[num_chars:]
        self._at_start = self._at_start and not text.strip()
        return [text]


def _may_be_call(text: str) -> bool:
    """Whether JSON that begins so may be a call, or a list of calls."""
    match = _BEGINNING.match(text)
    assert match is not None  # it also matches nothing at all
    key, is_whole = match.groups()
    if key is None:
        return match.end() == len(text)
    return key in _FIRST_KEYS if is_whole else any(k.startswith(key) for k in _FIRST_KEYS)


def _name_and_arguments(value: Any) -> tuple[str, str] | None:
    """Of `{"name": ..., "arguments" or "parameters": ...}`, also inside `{"function": ...}`."""
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return None
    if not isinstance(arguments, dict):
        return None
    return value["name"], json.dumps(arguments, ensure_ascii=False)


def _joined(items: list[str | ToolCall]) -> list[str | ToolCall]:
    """Neighbouring texts as one."""
    joined: list[str | ToolCall] = []
    for item in items:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        elif item:
            joined.append(item)
    return joined
