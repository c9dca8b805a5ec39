"""A context is as long as was asked, or as the model and the memory allow."""

from __future__ import annotations

import dataclasses

import pytest

from stillhouse.errors import NotEnoughSpace, UsageError
from stillhouse.models.capacity import choose_blocks, choose_context
from stillhouse.models.config import ModelConfig
from tests.models.test_config import R1_QWEN_7B  # 57,344 bytes a token in bf16

LONG = ModelConfig.from_metadata(R1_QWEN_7B)
SHORT = dataclasses.replace(LONG, context_length=2048)
TOKEN_BYTES = 57_344


@pytest.mark.parametrize(
    ("config", "wanted", "memory_bytes", "tokens", "reason"),
    [
        (LONG, None, None, 8192, "the default"),
        (SHORT, None, None, 2048, "all that the model has"),
        (LONG, 100_000, None, 100_000, "as asked"),
        (LONG, None, 1000 * TOKEN_BYTES, 992, "what 57.3 MB of memory hold"),
        (LONG, 600, 1000 * TOKEN_BYTES, 600, "as asked"),
    ],
)
def test_the_choice_and_its_reason(
    config: ModelConfig, wanted: int | None, memory_bytes: int | None, tokens: int, reason: str
) -> None:
    choice = choose_context(config, "bf16", wanted=wanted, memory_bytes=memory_bytes)
    assert choice == (tokens, reason)


@pytest.mark.parametrize("wanted", [0, -5, 2049])
def test_more_than_the_model_was_made_for_is_refused(wanted: int) -> None:
    with pytest.raises(UsageError, match="2048"):
        choose_context(SHORT, "bf16", wanted=wanted, memory_bytes=None)


@pytest.mark.parametrize(("wanted", "memory_bytes"), [(8000, 7999), (None, 511), (None, -9)])
def test_more_than_the_memory_holds_is_refused_with_both_numbers(
    wanted: int | None, memory_bytes: int
) -> None:
    with pytest.raises(NotEnoughSpace, match=r"takes [\d.]+ MB.* of memory are left"):
        choose_context(LONG, "bf16", wanted=wanted, memory_bytes=memory_bytes * TOKEN_BYTES)


@pytest.mark.parametrize(
    ("users", "memory_tokens", "blocks"),
    [
        (1, None, 4),
        (3, None, 12),
        (3, 10_000, 12),
        (3, 319, 9),  # two whole contexts, and what is left
        (3, 100, 4),
        (10**6, 10**6, 31_250),
    ],
)
def test_there_is_a_context_for_each_user_as_far_as_memory_goes(
    users: int, memory_tokens: int | None, blocks: int
) -> None:
    memory_bytes = None if memory_tokens is None else memory_tokens * TOKEN_BYTES
    chosen = choose_blocks(LONG, "bf16", context_tokens=100, users=users, memory_bytes=memory_bytes)
    assert chosen == blocks


def test_nobody_is_no_number_of_users() -> None:
    with pytest.raises(UsageError, match="users is 0"):
        choose_blocks(LONG, "bf16", context_tokens=100, users=0, memory_bytes=None)
