"""How a chat becomes a request: messages, template, sampling, a budget of thought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, TypeVar

from stillhouse.catalog import Sampling, sampling_for
from stillhouse.engine import Request, SamplingParams, ThinkingLimit
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.text import ChatTemplate, Message, ReasoningSplitter, Tokenizer, as_messages
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG
from stillhouse.text.stop_strings import StopStrings

Number = TypeVar("Number", int, float)
Chat = str | Iterable[Message | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text or ids to go on from as they are, without a template; text may hold special tokens."""

    content: str | tuple[int, ...]


class ChatOptions(TypedDict, total=False):
    """How to answer. What is None or left out is the model's own, or off."""

    think: bool | None  # open a thought, or leave it out
    thinking_budget: int | None  # tokens after which a thought is closed
    answer_reserve: int | None  # tokens of max_tokens that thoughts leave to the answer
    stop_loops: bool  # close a thought that goes in circles, and end an answer that does
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    max_tokens: int | None  # of thought and answer together
    stop: Iterable[str]  # texts that end the answer
    ignore_eos: bool  # run on to max_tokens, to measure speed
    logprobs: int | None  # of the answer's tokens, and of so many of the likeliest beside each
    presence_penalty: float  # taken from the logits of tokens that the reply already has
    frequency_penalty: float  # the same, times how often it has them
    repeat_penalty: float  # divides their positive logits, multiplies their negative ones
    logit_bias: Mapping[int, float]  # added to the logits of token ids
    answer_schema: Mapping[str, Any] | None  # a JSON schema that the answer follows
    tools: Sequence[Mapping[str, Any]] | None  # as OpenAI's `tools`: {"type": "function", ...}
    tool_choice: str  # "auto", "none", "required", or the name of the tool to call
    continue_last: bool  # go on with the last message, the assistant's, instead of a new turn


class Question(NamedTuple):
    """A chat as the engine takes it, and what its replies are read with (in copies)."""

    request: Request
    splitter: ReasoningSplitter
    stops: tuple[str, ...]


class Speech(NamedTuple):
    """How text becomes ids for this model, and how it likes to be sampled."""

    tokenizer: Tokenizer
    template: ChatTemplate
    sampling: Sampling

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object]) -> Speech:
        tokenizer = Tokenizer.from_metadata(metadata)
        names = (metadata.get("general.basename", ""), metadata.get("general.name", ""))
        sampling = sampling_for(" ".join(map(str, names)))
        return cls(tokenizer, ChatTemplate.from_metadata(metadata, tokenizer), sampling)

    def question(
        self,
        chat: Chat,
        *,
        context_tokens: int,
        think: bool | None = None,
        thinking_budget: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        max_tokens: int | None = None,
        stop: Iterable[str] = (),
    ) -> Question:
        """The chat as a request that fits into the context. Raises as `LLM.chat` says."""
        if thinking_budget is not None and thinking_budget < 0:
            raise UsageError(f"thinking_budget is {thinking_budget}, and must be at least 0")
        stops = tuple(stop)
        StopStrings(stops)  # raises for one that is empty
        prompt_ids = self.template.prompt_ids(as_messages(chat), self.tokenizer, think=think)
        splitter = ReasoningSplitter(self.tokenizer, prompt_ids)
        sampling = SamplingParams(
            _room_for(prompt_ids, context_tokens) if max_tokens is None else max_tokens,
            temperature=_given(temperature, self.sampling.temperature),
            top_p=_given(top_p, self.sampling.top_p),
            top_k=_given(top_k, self.sampling.top_k),
            min_p=_given(min_p, self.sampling.min_p),
            seed=seed,
            stop_ids=self.tokenizer.stop_ids,
        )
        limit = None
        if thinking_budget is not None:
            limit = self._thinking_limit(splitter, thinking_budget)
        return Question(Request(tuple(prompt_ids), sampling, limit), splitter, stops)

    def _thinking_limit(self, splitter: ReasoningSplitter, budget_tokens: int) -> ThinkingLimit:
        """The budget, with the tags as this vocabulary spells them."""
        open_id, close_id = (self.tokenizer.special_ids.get(tag) for tag in (OPEN_TAG, CLOSE_TAG))
        return ThinkingLimit(
            open=splitter.in_thought,
            open_ids=() if open_id is None else (open_id,),
            close_ids=tuple(splitter.close_ids) if close_id is None else (close_id,),
            budget_tokens=budget_tokens,
            view=splitter,
        )


def _room_for(prompt_ids: list[int], context_tokens: int) -> int:
    room = context_tokens - len(prompt_ids)
    if room < 1:
        raise ContextTooLong(
            f"the prompt has {len(prompt_ids)} tokens, and the context {context_tokens}",
            hint="shorten the chat, or raise the context",
        )
    return room


def _given(value: Number | None, own: Number) -> Number:
    return own if value is None else value
