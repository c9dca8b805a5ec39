"""What crosses the border between the process that serves and the one that computes.

A connection carries lists of these, pickled: both ends are this program. The parent sends asks and
orders about them; the worker answers each ask with Accepted and then, for every sample, pieces and
one Finished, or with one Refused at any point. What happens in one step of the engine comes in one
list, so that a step costs one wake-up however many are answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stillhouse.engine.stats import EngineStats
from stillhouse.errors import StillhouseError
from stillhouse.facts import ModelFacts
from stillhouse.models.cost import KVType
from stillhouse.questions import Chat, ChatOptions, Prompt
from stillhouse.replies import Reply
from stillhouse.text import Delta


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a worker loads its model; the arguments of `LLM`."""

    reference: str
    context_tokens: int | None = None
    kv_type: KVType = "bf16"
    threads: int | None = None
    max_memory_bytes: int | None = None
    users: int = 4
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat, or a prompt to go on from, to be answered `num_samples` times."""

    id: int
    chat: Chat | Prompt
    options: ChatOptions
    num_samples: int = 1


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this ask any more."""

    id: int


@dataclass(frozen=True, slots=True)
class AnswerNow:
    """Closes the thoughts of all samples of an ask; those that have ended stay as they are."""

    id: int


@dataclass(frozen=True, slots=True)
class TellStats:
    """Asks for `Stats`."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Cancels what is open, frees the memory and ends the process."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Progress of loading, as `LLM` tells it."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """From now on asks are answered."""

    facts: ModelFacts


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model could not be loaded; the process ends."""

    error: StillhouseError


@dataclass(frozen=True, slots=True)
class Accepted:
    """The chat has been rendered and queued."""

    id: int
    prompt_tokens: int
    in_thought: bool  # the prompt has opened a thought
    thinking_budget: int | None  # tokens, in effect
    max_tokens: int  # of thought and answer, in effect


class Piece(NamedTuple):  # a tuple, as Delta is: there is one for every token
    """What a token added to one sample."""

    id: int
    sample: int
    delta: Delta


@dataclass(frozen=True, slots=True)
class Finished:
    """One sample is whole."""

    id: int
    sample: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """The ask cannot be answered, or not to its end."""

    id: int
    error: StillhouseError


@dataclass(frozen=True, slots=True)
class Stats:
    """Where the worker stands."""

    engine: EngineStats
    memory_bytes: int  # resident


Order = Ask | Cancel | AnswerNow | TellStats | Shutdown
News = Loading | Loaded | LoadFailed | Accepted | Piece | Finished | Refused | Stats
