"""How long a context the memory allows, and for how many at once."""

from __future__ import annotations

from typing import NamedTuple

from stillhouse.errors import NotEnoughSpace, UsageError
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType, kv_bytes_per_token
from stillhouse.models.kv import bytes_per_block
from stillhouse.units import format_bytes

_DEFAULT_TOKENS = 8192  # room for a long thought; more is the user's to ask for
_LEAST_TOKENS = 512  # with less than this a model is of no use


class ContextChoice(NamedTuple):
    """Tokens of prompt and output together, and why so many."""

    tokens: int
    reason: str


def choose_context(
    config: ModelConfig, kv_type: KVType, *, wanted: int | None, memory_bytes: int | None
) -> ContextChoice:
    """The context that was asked for, or the least of the default, the model's, and what fits.

    `memory_bytes` is what the KV cache may take; None where nobody knows. Raises UsageError for
    more than the model was made for, NotEnoughSpace for more than the memory holds.
    """
    if wanted is not None and not 1 <= wanted <= config.context_length:
        raise UsageError(
            f"a context of {wanted} tokens is asked for, and this model has {config.context_length}"
        )
    most = min(config.context_length, _DEFAULT_TOKENS)
    tokens, reason = most, "the default" if most == _DEFAULT_TOKENS else "all that the model has"
    if wanted is not None:
        tokens, reason = wanted, "as asked"
    if memory_bytes is None:
        return ContextChoice(tokens, reason)
    token_bytes = kv_bytes_per_token(config.shape, kv_type)
    fitting = max(memory_bytes, 0) // (BLOCK_TOKENS * token_bytes) * BLOCK_TOKENS
    least = tokens if wanted is not None else min(_LEAST_TOKENS, tokens)
    if fitting < least:
        raise NotEnoughSpace(
            f"a context of {least} tokens takes {format_bytes(least * token_bytes)}, and beside the"
            f" weights {format_bytes(max(memory_bytes, 0))} of memory are left",
            hint="take a shorter context, a smaller quantisation, or kv type q8_0",
        )
    if fitting < tokens:
        return ContextChoice(fitting, f"what {format_bytes(memory_bytes)} of memory hold")
    return ContextChoice(tokens, reason)


def choose_blocks(
    config: ModelConfig,
    kv_type: KVType,
    *,
    context_tokens: int,
    users: int,
    memory_bytes: int | None,
) -> int:
    """Blocks of the KV cache: a whole context for each of `users`, or as many as the memory holds.

    `context_tokens` is a choice of `choose_context` for the same memory, so one of them fits. Who
    finds no room waits. Raises UsageError for less than one user.
    """
    if users < 1:
        raise UsageError(f"users is {users}, and must be at least 1")
    for_one = -(-context_tokens // BLOCK_TOKENS)
    if memory_bytes is None:
        return users * for_one
    return max(for_one, min(users * for_one, memory_bytes // bytes_per_block(config, kv_type)))
