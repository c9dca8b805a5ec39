"""Every spelling of thoughts has one meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.server.thinking import BUDGET_FIELDS, EFFORTS, FIELDS, Thinking, thinking_of


def meaning(**fields: Any) -> Thinking:
    warnings: list[str] = []
    thinking = thinking_of(fields, warnings)
    assert not warnings
    return thinking


@pytest.mark.parametrize("name", BUDGET_FIELDS)
def test_a_budget_has_many_names(name: str) -> None:
    assert meaning(**{name: 50}) == Thinking(None, 50)
    assert meaning(**{name: 0}) == Thinking(None, 0)
    assert meaning(**{name: -1}) == Thinking()


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({}, Thinking()),
        ({"think": True}, Thinking(True)),
        ({"think": False}, Thinking(False)),
        ({"think": 100}, Thinking(True, 100)),
        ({"think": "low"}, Thinking(True, EFFORTS["low"])),
        ({"think": "none"}, Thinking(False)),
        ({"reasoning_effort": "medium"}, Thinking(True, EFFORTS["medium"])),
        ({"reasoning_effort": "max"}, Thinking(True, None)),
        ({"reasoning": {"effort": "minimal"}}, Thinking(True, EFFORTS["minimal"])),
        ({"chat_template_kwargs": {"enable_thinking": False}}, Thinking(False)),
        ({"chat_template_kwargs": {"thinking": True, "thinking_budget": 9}}, Thinking(True, 9)),
        ({"custom_params": {"thinking_budget": 7}}, Thinking(None, 7)),
        ({"thinking": {"type": "enabled", "budget_tokens": 64}}, Thinking(True, 64)),
        ({"thinking": {"type": "disabled"}}, Thinking(False)),
        ({"thinking": True}, Thinking(True)),
        ({"reasoning_effort": "high", "thinking_token_budget": 5}, Thinking(True, 5)),
        ({"include_reasoning": False}, Thinking(show="never")),
        ({"separate_reasoning": False}, Thinking(show="inline")),
        ({"reasoning_format": "none"}, Thinking(show="inline")),
        ({"reasoning_format": "deepseek"}, Thinking()),
        ({"stream_reasoning": False}, Thinking(is_streamed=False)),
    ],
    ids=str,
)
def test_each_spelling_means_what_its_engine_means(fields: dict[str, Any], meant: Thinking) -> None:
    assert meaning(**fields) == meant


@pytest.mark.parametrize(
    "fields",
    [
        {"think": True, "reasoning_effort": "none"},
        {"think": False, "chat_template_kwargs": {"enable_thinking": True}},
        {"thinking_token_budget": 5, "reasoning_budget": 6},
        {"think": "loud"},
        {"think": 1.5},
        {"reasoning_budget": -2},
        {"reasoning_budget": True},
        {"reasoning_budget": "5"},
        {"thinking": {"type": "maybe"}},
        {"thinking": "on"},
        {"chat_template_kwargs": [1]},
        {"chat_template_kwargs": {"enable_thinking": "yes"}},
        {"reasoning_format": "xml"},
        {"include_reasoning": "no"},
    ],
    ids=str,
)
def test_what_contradicts_itself_or_means_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(StillhouseError):
        thinking_of(fields, [])


def test_what_has_no_effect_is_said() -> None:
    warnings: list[str] = []
    fields = {"chat_template_kwargs": {"greeting": "hi"}, "custom_params": {"x": 1}}
    assert thinking_of(fields, warnings) == Thinking()
    assert thinking_of({"think": False, "thinking_budget": 5}, warnings) == Thinking(False)
    assert len(warnings) == 3


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(fields=st.dictionaries(st.sampled_from(FIELDS), json))
def test_anything_else_is_a_mistake_and_nothing_worse(fields: dict[str, Any]) -> None:
    try:
        thinking = thinking_of(fields, [])
    except StillhouseError:
        return
    assert thinking.budget_tokens is None or thinking.budget_tokens >= 0
