"""A model that you can talk to, in process.

    with LLM("smollm2:135m") as llm:
        print(llm.chat("How many legs has a spider?").answer)

Any number of threads and tasks may chat with it at once. It owns one model and one engine, which
computes for all of them together in a thread of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, TypedDict, TypeVar, Unpack, overload

from stillhouse import hub
from stillhouse.catalog import Sampling, sampling_for
from stillhouse.checkpoints import Checkpoint, open_checkpoint
from stillhouse.engine import (
    Engine,
    EngineLoop,
    EngineStats,
    Request,
    SamplingParams,
    ThinkingLimit,
)
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.hardware import this_machine
from stillhouse.kernels.isa import Isa, detect
from stillhouse.models.capacity import choose_blocks, choose_context
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.replies import (
    AsyncChatStream,
    ChatStream,
    Clock,
    Reply,
    ReplyReader,
    Timings,
    Usage,
)
from stillhouse.text import ChatTemplate, Message, ReasoningSplitter, Tokenizer, as_messages
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG
from stillhouse.text.stop_strings import StopStrings

__all__ = [
    "LLM",
    "AsyncChatStream",
    "Chat",
    "ChatOptions",
    "ChatStream",
    "Reply",
    "Timings",
    "Usage",
]

Number = TypeVar("Number", int, float)
Chat = str | Iterable[Message | Mapping[str, Any]]

# What a model takes beside its KV cache: its weights as packed, and the buffers of one step.
_WEIGHTS_OVERHEAD = 1.1
_BUFFER_BYTES = 256_000_000


class ChatOptions(TypedDict, total=False):
    """How to answer. What is None or left out is the model's own, or off."""

    think: bool | None  # open a thought, or leave it out
    thinking_budget: int | None  # tokens after which a thought is closed
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    max_tokens: int | None  # of thought and answer together
    stop: Iterable[str]  # texts that end the answer


class LLM:
    """A loaded model with its tokenizer, template and KV cache. A context manager.

    Attributes:
        context_tokens: what prompt and reply may take together; `context_reason` says why so many.
        sampling: what is used where a chat does not say.
        load_s: seconds that loading took.
    """

    def __init__(
        self,
        reference: str,
        *,
        context_tokens: int | None = None,
        kv_type: KVType = "bf16",
        threads: int | None = None,
        max_memory_bytes: int | None = None,
        users: int = 1,
        deterministic: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Pulls the model if it is not here. `progress(stage, done, total)` hears of the loading.

        The KV cache holds a whole context for each of `users`, or what `max_memory_bytes` (default:
        what is free) leave room for; more chats wait. `deterministic` leaves out the matrix tiles,
        so that a reply's numbers never depend on who else is answered.

        Raises what `hub.resolve` does, BadCheckpoint and BadTemplate, NotEnoughSpace if the context
        does not fit into the memory, UsageError for one beyond the model's.
        """
        started = clock()
        self._clock = clock
        self._kv_type: KVType = kv_type
        with ExitStack() as opened:
            checkpoint = opened.enter_context(open_checkpoint(hub.resolve(reference)))
            metadata = checkpoint.metadata
            config = ModelConfig.from_metadata(metadata)
            memory_bytes = _memory_for_kv(checkpoint, max_memory_bytes)
            self.context_tokens, self.context_reason = choose_context(
                config, kv_type, wanted=context_tokens, memory_bytes=memory_bytes
            )
            num_blocks = choose_blocks(
                config,
                kv_type,
                context_tokens=self.context_tokens,
                users=users,
                memory_bytes=memory_bytes,
            )
            self._threads = threads or this_machine().physical_cores
            # Building the tokenizer takes about as long as packing a small model: side by side.
            with ThreadPoolExecutor(1) as beside:
                speech = beside.submit(_Speech.from_metadata, metadata)
                self._model = load_model(
                    checkpoint,
                    threads=self._threads,
                    isa=min(detect(), Isa.AVX512_VNNI) if deterministic else None,
                    progress=progress,
                )
                opened.callback(self._model.close)
                self._speech = speech.result()
            self._opened = opened.pop_all()
        self.sampling: Sampling = sampling_for(
            f"{metadata.get('general.basename', '')} {metadata.get('general.name', '')}"
        )
        kv = KVCache(self._model.config, num_blocks, kv_type)
        self._engine = EngineLoop(Engine(self._model, kv, context_tokens=self.context_tokens))
        self._read_bytes_per_s: float | None = None
        self.load_s = clock() - started

    @overload
    def chat(
        self, chat: Chat, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Reply: ...

    @overload
    def chat(
        self, chat: Chat, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    def chat(
        self, chat: Chat, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> Reply | ChatStream:
        """Answers a text or a list of messages: the Reply, or with `stream` its pieces and it.

        Raises UsageError for a value out of range, BadTemplate for messages that the template
        refuses, ContextTooLong if they do not fit, EngineStopped if the model fails or is closed.
        """
        question = self._question(chat, **options)
        answer = ChatStream(self._engine.submit(question.request), question.reader())
        return answer if stream else answer.drain()

    def samples(self, chat: Chat, num_samples: int, **options: Unpack[ChatOptions]) -> list[Reply]:
        """Several replies to one chat, as `chat` gives them. The prompt is computed once, and each
        reply draws from a generator of its own, spawned from the seed.
        """
        if num_samples < 1:
            raise UsageError(f"num_samples is {num_samples}, and must be at least 1")
        question = self._question(chat, **options)
        streams = self._engine.submit_samples(question.request, num_samples)
        answers = [ChatStream(stream, question.reader()) for stream in streams]
        return [answer.drain() for answer in answers]

    @overload
    async def achat(
        self, chat: Chat, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Reply: ...

    @overload
    async def achat(
        self, chat: Chat, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> AsyncChatStream: ...

    async def achat(
        self, chat: Chat, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> Reply | AsyncChatStream:
        """As `chat`, for a task of an event loop, which it does not hold up."""
        question = await asyncio.to_thread(self._question, chat, **options)
        answer = AsyncChatStream(self._engine.submit_async(question.request), question.reader())
        return answer if stream else await answer.drain()

    def stats(self) -> EngineStats:
        """What the engine is doing and has done; waits for the step that it is in."""
        return self._engine.call(Engine.stats).result()

    def with_bandwidth_share(self, reply: Reply) -> Reply:
        """The reply with the share of this machine's memory bandwidth that its decoding used.

        Tokens per second, times the bytes read for one at the middle of the reply, over the read
        bandwidth that is measured on the first call (about a second).
        """
        rate, usage = reply.timings.decode_tokens_per_s, reply.usage
        if rate is None:
            return reply
        if self._read_bytes_per_s is None:
            self._read_bytes_per_s = self._model.measure_read_bytes_per_s()
        middle = usage.prompt_tokens + (usage.reasoning_tokens + usage.answer_tokens) // 2
        share = rate * self._model.step_bytes(middle, self._kv_type) / self._read_bytes_per_s
        return replace(reply, timings=replace(reply.timings, bandwidth_share=share))

    def close(self) -> None:
        """Cancels what is open, ends the model's threads and lets go of its memory."""
        self._engine.close()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _question(
        self,
        chat: Chat,
        *,
        think: bool | None = None,
        thinking_budget: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        max_tokens: int | None = None,
        stop: Iterable[str] = (),
    ) -> _Question:
        asked_at = self._clock()
        if thinking_budget is not None and thinking_budget < 0:
            raise UsageError(f"thinking_budget is {thinking_budget}, and must be at least 0")
        stops = tuple(stop)
        StopStrings(stops)  # raises for one that is empty
        prompt_ids = self._speech.template.prompt_ids(
            as_messages(chat), self._speech.tokenizer, think=think
        )
        splitter = ReasoningSplitter(self._speech.tokenizer, prompt_ids)
        sampling = SamplingParams(
            self._room_for(prompt_ids) if max_tokens is None else max_tokens,
            temperature=_given(temperature, self.sampling.temperature),
            top_p=_given(top_p, self.sampling.top_p),
            top_k=_given(top_k, self.sampling.top_k),
            min_p=_given(min_p, self.sampling.min_p),
            seed=seed,
            stop_ids=self._speech.tokenizer.stop_ids,
        )
        limit = None
        if thinking_budget is not None:
            limit = self._speech.thinking_limit(splitter, thinking_budget)

        def reader() -> ReplyReader:
            return ReplyReader(
                len(prompt_ids),
                splitter.fork(),
                StopStrings(stops),
                load_s=self.load_s,
                asked_at=asked_at,
                clock=self._clock,
            )

        return _Question(Request(tuple(prompt_ids), sampling, limit), reader)

    def _room_for(self, prompt_ids: list[int]) -> int:
        room = self.context_tokens - len(prompt_ids)
        if room < 1:
            raise ContextTooLong(
                f"the prompt has {len(prompt_ids)} tokens, and the context {self.context_tokens}",
                hint="shorten the chat, or raise the context",
            )
        return room


class _Question(NamedTuple):
    """A chat as the engine takes it, and what makes a reader for each reply to it."""

    request: Request
    reader: Callable[[], ReplyReader]


class _Speech(NamedTuple):
    """How text becomes ids for this model."""

    tokenizer: Tokenizer
    template: ChatTemplate

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object]) -> _Speech:
        tokenizer = Tokenizer.from_metadata(metadata)
        return cls(tokenizer, ChatTemplate.from_metadata(metadata, tokenizer))

    def thinking_limit(self, splitter: ReasoningSplitter, budget_tokens: int) -> ThinkingLimit:
        """The budget, with the tags as this vocabulary spells them."""
        open_id, close_id = (self.tokenizer.special_ids.get(tag) for tag in (OPEN_TAG, CLOSE_TAG))
        return ThinkingLimit(
            open=splitter.in_thought,
            open_ids=() if open_id is None else (open_id,),
            close_ids=tuple(splitter.close_ids) if close_id is None else (close_id,),
            budget_tokens=budget_tokens,
            view=splitter,
        )


def _memory_for_kv(checkpoint: Checkpoint, max_memory_bytes: int | None) -> int | None:
    """Bytes that are left beside the model, None where the system does not say what is free."""
    limit = max_memory_bytes
    if limit is None:
        limit = this_machine().available_memory_bytes
    if limit is None:
        return None
    return limit - int(_WEIGHTS_OVERHEAD * checkpoint.file_bytes) - _BUFFER_BYTES


def _given(value: Number | None, own: Number) -> Number:
    return own if value is None else value
