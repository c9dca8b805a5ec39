"""A context holds what is asked for, or it is a mistake that is named with its numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.planner.workload import Workload

tokens = st.none() | st.integers(1, 200_000)


@given(context=tokens, prompt=tokens, thinking=st.none() | st.integers(0, 200_000))
def test_the_context_holds_all_tokens_or_is_refused(
    context: int | None, prompt: int | None, thinking: int | None
) -> None:
    try:
        made = Workload.of(context_tokens=context, prompt_tokens=prompt, thinking_tokens=thinking)
    except UsageError:
        assert context is not None
        return
    needed = made.prompt_tokens + made.thinking_tokens + made.answer_tokens
    assert needed <= made.context_tokens
    assert min(made.prompt_tokens, made.answer_tokens) >= 1
    assert prompt in (None, made.prompt_tokens)
    assert thinking in (None, made.thinking_tokens)
    assert context in (None, made.context_tokens)


def test_a_short_context_alone_leaves_a_short_thought() -> None:
    made = Workload.of(context_tokens=1200)
    assert (made.prompt_tokens, made.thinking_tokens, made.answer_tokens) == (300, 388, 512)


def test_what_does_not_fit_is_said_with_numbers() -> None:
    with pytest.raises(UsageError, match=r"4096 tokens .* 512 of a prompt, 8000 of a thought"):
        Workload.of(context_tokens=4096, thinking_tokens=8000)
