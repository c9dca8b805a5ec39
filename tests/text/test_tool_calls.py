"""Calls of tools, told from text however it is cut."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.text import ToolCall
from stillhouse.text.tool_calls import ToolCallReader

CALL = '{"name": "add", "arguments": {"a": 1, "b": "ü"}}'
ALIEN = '{"name": "mul", "arguments": {}}'
PARTS = [
    CALL,
    ALIEN,
    "<tool_call>",
    "</tool_call>",
    f"<tool_call>\n{CALL}\n</tool_call>",
    "```json\n",
    "```",
    "\n",
    " ",
    "<tool",
    "[",
    "{",
    '{"x": 1}',
    "Sure.",
    "<",
]


def read(pieces: list[str]) -> list[str | tuple[str, str]]:
    """Texts joined; calls without their ids."""
    reader = ToolCallReader(["add"], random.Random(0))
    items = [item for piece in pieces for item in reader.push(piece)] + reader.finish()
    assert reader.held_chars == 0
    told: list[str | tuple[str, str]] = []
    for item in items:
        if isinstance(item, ToolCall):
            told.append((item.name, item.arguments))
        elif told and isinstance(told[-1], str):
            told[-1] += item
        else:
            assert item
            told.append(item)
    return told


ADD = ("add", json.dumps({"a": 1, "b": "ü"}, ensure_ascii=False))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"<tool_call>\n{CALL}\n</tool_call>", [ADD]),
        (f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>\n", [ADD, ADD]),
        (f"Let me see.\n<tool_call>{CALL}</tool_call>", ["Let me see.", ADD]),
        (CALL, [ADD]),
        (f"[{CALL}, {CALL}]", [ADD, ADD]),
        (f"```json\n{CALL}\n```\n", [ADD]),
        (f"```\n{CALL}```", [ADD]),
        (f'{{"type": "function", "function": {CALL}}}', [ADD]),
        ('{"name": "add", "parameters": {}}', [("add", "{}")]),
        ('{"name": "add", "arguments": "{}"}', [("add", "{}")]),
        (f"<tool_call>{CALL}", [ADD]),
        (f"<tool_call>{ALIEN}</tool_call>", [("mul", "{}")]),
    ],
)
def test_a_call_is_told_from_text(text: str, told: list[str | tuple[str, str]]) -> None:
    assert read([text]) == told


@pytest.mark.parametrize(
    "text",
    [
        ALIEN,
        f"See: {CALL}",
        "<tool_call>{broken}</tool_call>",
        '{"name": "add", "arguments": [1]}',
        '{"name": "add", "arg',
        "[link](x)",
        "```python\nprint()\n```",
        "  \n",
        "a <tool_call",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert read([text]) == [text]


@pytest.mark.parametrize("text", ["[link](x)", '{"x": 1', "```python", "Hello <b>"])
def test_text_that_cannot_become_a_call_is_not_held_back(text: str) -> None:
    reader = ToolCallReader(["add"], random.Random(0))
    reader.push(text)
    assert reader.held_chars == 0


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), st.data())
def test_the_cut_does_not_matter(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert read(pieces) == read([text]) == read(list(text))


def test_ids_come_from_the_given_source() -> None:
    ids = []
    for seed in (1, 1, 2):
        (call,) = ToolCallReader(["add"], random.Random(seed)).push(
            f"<tool_call>{CALL}</tool_call>"
        )
        assert isinstance(call, ToolCall)
        ids.append(call.id)
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("call_")
