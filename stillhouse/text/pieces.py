"""What a reply comes in: pieces of text, calls of tools, log-probabilities of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token under the model's unchanged distribution, and the likeliest in its place."""

    token_id: int
    text: str  # U+FFFD where the token holds only a part of a character
    bytes: bytes
    logprob: float | None  # None: of a prompt's first token, which nothing comes before
    top: tuple[TokenLogprob, ...] = ()  # best first; theirs is empty


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


class Delta(NamedTuple):  # a tuple, since one for each token goes from process to process
    """A piece that belongs wholly to the thought, to the answer, or is one or more calls.

    The text is empty for calls, and only for them. `logprobs` are of tokens of the answer that
    nobody has been told of yet, up to this piece.
    """

    kind: Literal["reasoning", "answer", "tool_calls"]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
