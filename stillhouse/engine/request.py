"""What goes into the engine, and what comes out: requests, and an event for each token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stillhouse.engine.constraints import TokenConstraint
from stillhouse.engine.loops import LoopGuard
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.thinking import ThinkingEnd, ThinkingLimit
from stillhouse.errors import UsageError

FinishReason = Literal["stop", "length", "loop", "cancelled"]
Phase = Literal["queue", "prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt of at least one token, and how to go on from it.

    With `score_from` the first event also tells how probable the prompt's own tokens are, from this
    position on; only then `max_tokens` may be 0. Raises UsageError where that makes no sense.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    thinking: ThinkingLimit | None = None
    loops: LoopGuard | None = None  # None: nobody looks out for them
    constraint: TokenConstraint | None = None  # its forks are used, not itself
    score_from: int | None = None  # at least 1: nothing comes before the first token

    def __post_init__(self) -> None:
        max_tokens, start, num_prompt = self.sampling.max_tokens, self.score_from, self.num_prompt
        if start is None:
            if max_tokens < 1:
                raise UsageError(f"max_tokens is {max_tokens}, and must be at least 1")
        elif not 1 <= start <= num_prompt - (max_tokens == 0):
            raise UsageError(
                f"tokens of a prompt of {num_prompt} cannot be scored from number {start} on",
                hint="the first has nothing before it: at least two tokens are needed",
            )

    @property
    def num_prompt(self) -> int:
        return len(self.prompt_ids)


class Score(NamedTuple):
    """A token that was given, not chosen, under the model's unchanged distribution."""

    token_id: int
    logprob: float
    top_logprobs: tuple[tuple[int, float], ...]  # the likeliest there, as many as were asked for


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of one request, in order. Every request ends with exactly one event that says why.

    A stop id comes as a token too. Only the last event of a cancelled request has no token, and the
    only one of a request that just scores. A fork's first index says how many tokens after the
    prompt it has from its parent, or was given.
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
    scores: tuple[Score, ...] = ()  # of given tokens, on the first event, where they were wanted
