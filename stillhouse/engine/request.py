"""What goes into the engine, and what comes out: requests, and an event for each token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stillhouse.engine.constraints import TokenConstraint
from stillhouse.engine.loops import LoopGuard
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit

FinishReason = Literal["stop", "length", "loop", "cancelled"]
Phase = Literal["queue", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt of at least one token, and how to go on from it."""

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    thinking: ThinkingLimit | None = None
    loops: LoopGuard | None = None  # None: nobody looks out for them
    constraint: TokenConstraint | None = None  # its forks are used, not itself


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of one request, in order. Every request ends with exactly one event that says why.

    A stop id comes as a token too. Only the last event of a cancelled request has no token. A
    fork's first index says how many tokens after the prompt it has from its parent, or was given.
    """

    request_id: int
    token_id: int | None
    index: int  # 0 for the first token after the prompt
    in_thought: bool
    finish_reason: FinishReason | None = None
    thinking_end: ThinkingEnd | None = None  # with the token that ended a thought
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    queue_s: float | None = field(default=None, compare=False)  # from being asked to the first row
    phase: Phase = "decode"  # where the request was, on its last event
    cached_tokens: int = 0  # of the prompt, found in the cache rather than computed
