"""How probable continuations of a text are: which tokens are theirs, and what their scores say.

The tokens are those of lm-evaluation-harness (`TemplateLM._encode_pair`): prompt and continuation
are encoded as one text, and what comes after as many tokens as the prompt has alone belongs to the
continuation. White space at the end of the prompt goes to the continuation, as most vocabularies
have it in front of words. An empty prompt is the token that begins a text, or else ends one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from stillhouse.engine import Request, SamplingParams, TokenEvent
from stillhouse.errors import EngineStopped, UsageError

Encode = Callable[[str], list[int]]
"""A text as ids of a prompt, with whatever begins every text."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of a continuation, given its prompt; at temperature 1, whatever the model's own is."""

    total: float  # natural logarithm of the probability of all its tokens
    num_tokens: int
    num_bytes: int  # of its text as it was given, in UTF-8
    is_greedy: bool  # each token is the likeliest there: at temperature 0 the model says just this

    @classmethod
    def of_tokens(cls, continuation: str, tokens: Iterable[tuple[float, bool]]) -> Self:
        """Of each token's log-probability, and whether it is the likeliest."""
        logprobs, are_likeliest = zip(*tokens, strict=True)
        num_bytes = len(continuation.encode(errors="replace"))
        return cls(sum(logprobs), len(logprobs), num_bytes, all(are_likeliest))


class Weighing(NamedTuple):
    """What the engine is asked: a prompt that says a token, and ids that may follow instead."""

    request: Request
    continuations: list[list[int]]


def weighing(
    prompt: str, continuations: Sequence[str], encode: Encode, *, start_id: int
) -> Weighing:
    """`start_id` stands for an empty prompt. Raises UsageError for a continuation of no tokens."""
    prompt_ids = encode(prompt.rstrip())
    tails = []
    for continuation in continuations:
        tails.append(encode(prompt + continuation)[len(prompt_ids) :])
        if not tails[-1]:
            raise UsageError(
                f"the continuation {continuation[:50]!r} has no token of its own after this prompt",
                hint="it is empty, or one token with the end of the prompt",
            )
    sampling = SamplingParams(1, temperature=0, logprobs=1)
    return Weighing(Request(tuple(prompt_ids or [start_id]), sampling), tails)


def weighed(continuations: Sequence[str], events: Sequence[TokenEvent]) -> list[Likelihood]:
    """What the events of a weighing say, the prompt's own first. Raises EngineStopped."""
    found = []
    for continuation, event in zip(continuations, events[1:], strict=True):
        if event.finish_reason == "cancelled":
            raise EngineStopped("the model was closed")
        tokens = ((s.logprob, s.top_logprobs[0][0] == s.token_id) for s in event.scores)
        found.append(Likelihood.of_tokens(continuation, tokens))
    return found
