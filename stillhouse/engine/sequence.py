"""One request's life: waiting, then running until a token finishes it or somebody cancels it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stillhouse.engine.blocks import ROOT, BlockPool, Key, block_key
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit, ThoughtTracker
from stillhouse.models.batch import BLOCK_TOKENS

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt of at least one token, and how to go on from it."""

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    thinking: ThinkingLimit | None = None


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of one request, in order. Every request ends with exactly one event that says why.

    A stop id comes as a token too. Only the last event of a cancelled request has no token.
    """

    request_id: int
    token_id: int | None
    index: int  # 0 for the first token after the prompt
    in_thought: bool
    finish_reason: FinishReason | None = None
    thinking_end: ThinkingEnd | None = None  # with the token that ended a thought
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    cached_tokens: int = 0  # of the prompt, found in the cache rather than computed


class Sequence:
    """The mutable state of a request. Tokens 0 to `num_tokens` are known, the first `num_computed`
    of them are in the cache; the difference is what the next steps have to compute.
    """

    __slots__ = (
        "_keys",
        "block_table",
        "blocks",
        "id",
        "num_cached",
        "num_computed",
        "num_prompt",
        "num_published",
        "num_reserved",
        "num_tokens",
        "rng",
        "sampling",
        "thought",
        "token_ids",
    )

    def __init__(self, sequence_id: int, request: Request, max_blocks: int) -> None:
        self.id = sequence_id
        self.sampling = request.sampling
        self.rng = np.random.default_rng(request.sampling.seed)
        self.thought = ThoughtTracker(request.thinking) if request.thinking else None
        self.num_prompt = len(request.prompt_ids)
        self.num_tokens = self.num_prompt
        self.num_cached = 0
        self.num_computed = 0
        self.token_ids = np.empty(self.num_prompt + request.sampling.max_tokens, np.int32)
        self.token_ids[: self.num_prompt] = request.prompt_ids
        self.blocks: list[int] = []
        self.block_table = np.full(max_blocks, -1, np.int32)  # the same blocks, for the batch
        self.num_reserved = 0
        self.num_published = 0  # full blocks that others can find
        self._keys: list[Key] = []  # of full blocks, in order; may be ahead of what is published
        for _ in range((self.num_prompt - 1) // BLOCK_TOKENS):
            self._add_key()

    @property
    def num_to_compute(self) -> int:
        return self.num_tokens - self.num_computed

    @property
    def worst_case_blocks(self) -> int:
        """Blocks held in the end if it runs to `max_tokens`; the last token is never computed."""
        return -(-(len(self.token_ids) - 1) // BLOCK_TOKENS)

    def admit(self, pool: BlockPool) -> bool:
        """Takes the cached prefix and the promise of all further blocks, or nothing.

        At least one prompt token is left to compute, because its logits are needed.
        """
        shared = pool.find(self._keys)
        num_new = self.worst_case_blocks - len(shared)
        if not pool.can_hold_and_reserve(shared, num_new):
            return False
        pool.hold(shared)
        pool.reserve(num_new)
        self.num_reserved = num_new
        self.num_published = len(shared)
        for block in shared:
            self._append_block(block)
        self.num_cached = self.num_computed = len(shared) * BLOCK_TOKENS
        return True

    def extend_blocks(self, pool: BlockPool, num_rows: int) -> None:
        """Allocates what the next `num_rows` positions need beyond the blocks held."""
        while len(self.blocks) * BLOCK_TOKENS < self.num_computed + num_rows:
            self._append_block(pool.allocate())
            self.num_reserved -= 1

    def advance(self, pool: BlockPool, num_rows: int) -> None:
        """Counts rows as computed, and publishes the blocks that they filled."""
        self.num_computed += num_rows
        while (self.num_published + 1) * BLOCK_TOKENS <= self.num_computed:
            if self.num_published == len(self._keys):
                self._add_key()
            pool.publish(self.blocks[self.num_published], self._keys[self.num_published])
            self.num_published += 1

    def append(self, token_id: int) -> None:
        self.token_ids[self.num_tokens] = token_id
        self.num_tokens += 1

    def leave(self, pool: BlockPool) -> None:
        """Gives back blocks and promises."""
        pool.release(self.blocks)
        pool.unreserve(self.num_reserved)
        self.blocks = []
        self.num_reserved = 0

    def _add_key(self) -> None:
        start = len(self._keys) * BLOCK_TOKENS
        parent = self._keys[-1] if self._keys else ROOT
        self._keys.append(block_key(parent, self.token_ids[start : start + BLOCK_TOKENS]))

    def _append_block(self, block: int) -> None:
        self.block_table[len(self.blocks)] = block
        self.blocks.append(block)
