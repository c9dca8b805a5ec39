"""How a chat becomes a request: messages, template, sampling, a budget of thought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack

from stillhouse.catalog import Sampling, sampling_for
from stillhouse.engine import LoopGuard, Request, SamplingParams, ThinkingLimit
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.text import (
    ChatTemplate,
    Message,
    ReasoningSplitter,
    Tokenizer,
    Verbatim,
    as_messages,
)
from stillhouse.text.grammar import JsonConstraints
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG
from stillhouse.text.stop_strings import StopStrings
from stillhouse.text.tools import Tools, offered_tools

# What thoughts leave to the answer, at most, where nobody says; the context or max_tokens rule it.
_DEFAULT_RESERVE = 1024
# Before a limit, the window in which a thought closes at the end of a line.
_SOFT_TOKENS = 64

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
    echo: bool  # a Prompt comes back before the answer, its tokens with their logprobs if wanted
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
    splitter: ReasoningSplitter | Verbatim
    stops: tuple[str, ...]
    tool_names: tuple[str, ...] = ()  # that a reply may call
    echo: str | None = None  # the prompt's text, where it is to come back

    @property
    def in_thought(self) -> bool:
        """Whether the prompt has opened a thought."""
        return self.request.thinking is not None and self.request.thinking.open

    @property
    def thinking_budget(self) -> int | None:
        """Tokens, in effect."""
        return None if self.request.thinking is None else self.request.thinking.budget_tokens


class Speech:
    """How text becomes ids for this model, and how it likes to be sampled."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, sampling: Sampling) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.sampling = sampling
        self._constraints = JsonConstraints(tokenizer)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object]) -> Speech:
        tokenizer = Tokenizer.from_metadata(metadata)
        names = (metadata.get("general.basename", ""), metadata.get("general.name", ""))
        sampling = sampling_for(" ".join(map(str, names)))
        return cls(tokenizer, ChatTemplate.from_metadata(metadata, tokenizer), sampling)

    @property
    def knows_thoughts(self) -> bool:
        """Whether this model's vocabulary or template speaks of thoughts."""
        return CLOSE_TAG in self.tokenizer.special_ids or self.template.knows_thoughts

    def question(
        self, chat: Chat | Prompt, *, context_tokens: int, **options: Unpack[ChatOptions]
    ) -> Question:
        """The chat as a request that fits into the context. Raises as `LLM.chat` says."""
        stops = tuple(options.get("stop") or ())
        StopStrings(stops)  # raises for one that is empty
        tools = offered_tools(options.get("tools"), options.get("tool_choice") or "auto")
        prompt_ids = self._prompt_ids(chat, tools, options)
        splitter = ReasoningSplitter(self.tokenizer, prompt_ids)
        sampling = self._sampling(prompt_ids, context_tokens, options)
        schema = options.get("answer_schema")
        if tools is not None and tools.schema is not None:
            if schema is not None:
                raise UsageError("a demanded tool call leaves no room for an answer_schema")
            schema = tools.schema
        echo = self._echo(chat) if options.get("echo") else None
        request = Request(
            tuple(prompt_ids),
            sampling,
            self._thinking_limit(splitter, sampling, options),
            LoopGuard() if options.get("stop_loops", not sampling.ignore_eos) else None,
            None if schema is None else self._constraints.for_schema(schema),
            score_from=None if echo is None or sampling.logprobs is None else 1,
        )
        reading = Verbatim(self.tokenizer) if isinstance(chat, Prompt) else splitter
        return Question(request, reading, stops, () if tools is None else tools.names, echo)

    def text_ids(self, text: str) -> list[int]:
        """A text to go on from as it is, behind what begins every text of this model."""
        tokenizer = self.tokenizer
        ids = tokenizer.encode(text, special=True)
        if tokenizer.add_bos and tokenizer.bos_id is not None and ids[:1] != [tokenizer.bos_id]:
            ids.insert(0, tokenizer.bos_id)
        return ids

    @cached_property
    def _plain_ids(self) -> tuple[frozenset[int], frozenset[int]]:
        """Tokens that end a line, where a thought may be closed without cutting a sentence; and
        those that show nothing: white space, or no text at all.
        """
        texts = [*map(self.tokenizer.token_bytes, range(self.tokenizer.vocab_size))]
        return (
            frozenset(i for i, text in enumerate(texts) if text.endswith(b"\n")),
            frozenset(i for i, text in enumerate(texts) if not text.strip()),
        )

    def _prompt_ids(
        self, chat: Chat | Prompt, tools: Tools | None, options: ChatOptions
    ) -> list[int]:
        tokenizer = self.tokenizer
        if not isinstance(chat, Prompt):
            return self.template.prompt_ids(
                as_messages(chat),
                tokenizer,
                think=options.get("think"),
                tools=tools,
                continue_last=options.get("continue_last", False),
            )
        if isinstance(chat.content, str):
            return self.text_ids(chat.content)
        if not all(0 <= token_id < tokenizer.vocab_size for token_id in chat.content):
            raise UsageError(
                f"a token id of the prompt is not in the vocabulary of {tokenizer.vocab_size}",
                hint="are they of this model's tokenizer?",
            )
        return list(chat.content)

    def _echo(self, chat: Chat | Prompt) -> str:
        if not isinstance(chat, Prompt):
            raise UsageError("echo is for prompts: a chat has no text of its own")
        content = chat.content
        return content if isinstance(content, str) else self.tokenizer.decode(content)

    def _sampling(
        self, prompt_ids: list[int], context_tokens: int, options: ChatOptions
    ) -> SamplingParams:
        own, max_tokens = self.sampling, options.get("max_tokens")
        return SamplingParams(
            _room_for(prompt_ids, context_tokens) if max_tokens is None else max_tokens,
            temperature=_given(options.get("temperature"), own.temperature),
            top_p=_given(options.get("top_p"), own.top_p),
            top_k=_given(options.get("top_k"), own.top_k),
            min_p=_given(options.get("min_p"), own.min_p),
            seed=options.get("seed"),
            stop_ids=self.tokenizer.stop_ids,
            ignore_eos=options.get("ignore_eos", False),
            presence_penalty=options.get("presence_penalty", 0.0),
            frequency_penalty=options.get("frequency_penalty", 0.0),
            repeat_penalty=options.get("repeat_penalty", 1.0),
            logit_bias=tuple((options.get("logit_bias") or {}).items()),
            logprobs=options.get("logprobs"),
        )

    def _thinking_limit(
        self, splitter: ReasoningSplitter, sampling: SamplingParams, options: ChatOptions
    ) -> ThinkingLimit:
        """The budget and the reserve, with the tags as this vocabulary spells them."""
        budget = options.get("thinking_budget")
        if budget is not None and budget < 0:
            raise UsageError(f"thinking_budget is {budget}, and must be at least 0")
        open_id, close_id = (self.tokenizer.special_ids.get(tag) for tag in (OPEN_TAG, CLOSE_TAG))
        close_ids = tuple(splitter.close_ids) if close_id is None else (close_id,)
        reserve = _reserve(options, sampling, close_ids, is_open=splitter.in_thought)
        most = sampling.max_tokens if budget is None else min(budget, sampling.max_tokens)
        boundary_ids, blank_ids = self._plain_ids
        return ThinkingLimit(
            open=splitter.in_thought,
            open_ids=() if open_id is None else (open_id,),
            close_ids=close_ids,
            budget_tokens=budget,
            view=splitter,
            answer_reserve_tokens=reserve,
            soft_tokens=min(_SOFT_TOKENS, most // 10),
            boundary_ids=boundary_ids,
            blank_ids=blank_ids,
        )


def seeds_of(
    num_samples: int, seed: int | None, seeds: Sequence[int] | None = None
) -> tuple[int | None, ...]:
    """One for each sample of a chat: as given, counting up from `seed`, or None, drawn anew.

    Sample k is then the same chat asked alone with the k-th. Raises UsageError.
    """
    if num_samples < 1:
        raise UsageError(f"num_samples is {num_samples}, and must be at least 1")
    if seeds is None:
        return tuple(None if seed is None else seed + k for k in range(num_samples))
    if seed is not None:
        raise UsageError("seed and seeds are both given, and each sample has one seed")
    if len(seeds) != num_samples:
        raise UsageError(f"{len(seeds)} seeds are given for {num_samples} samples")
    for one in seeds:
        if one < 0:
            raise UsageError(f"a seed is {one}, and must be at least 0")
    return tuple(seeds)


def _reserve(
    options: ChatOptions, sampling: SamplingParams, close_ids: tuple[int, ...], *, is_open: bool
) -> int:
    """Tokens that a thought leaves to the answer: by default a quarter, 1024 at most."""
    given, most = options.get("answer_reserve"), sampling.max_tokens
    if given is None:
        by_default = min(_DEFAULT_RESERVE, most // 4)
        return 0 if sampling.ignore_eos or by_default + len(close_ids) > most else by_default
    if given < 0:
        raise UsageError(f"answer_reserve is {given}, and must be at least 0")
    if is_open and given and given + len(close_ids) > most:
        raise UsageError(
            f"an answer_reserve of {given} and {len(close_ids)} to close the thought are more than"
            f" the {most} of max_tokens",
            hint="raise max_tokens, or lower the reserve",
        )
    return given


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
