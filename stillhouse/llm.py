"""A model that you can talk to, in process.

    with LLM("smollm2:135m") as llm:
        print(llm.chat("How many legs has a spider?").answer)

Any number of threads and tasks may chat with it at once. It owns one model and one engine, which
computes for all of them together in a thread of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal, Self, Unpack, overload

from stillhouse import hub
from stillhouse.checkpoints import Checkpoint, open_checkpoint
from stillhouse.engine import Admission, Engine, EngineLoop, EngineStats
from stillhouse.errors import UsageError
from stillhouse.facts import facts_of
from stillhouse.hardware import this_machine
from stillhouse.kernels.isa import Isa, detect
from stillhouse.likelihoods import Likelihood, Weighing, weighed, weighing
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.capacity import choose_blocks, choose_context
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.planner import memory
from stillhouse.planner.local import vocabulary_of, weights_of
from stillhouse.planner.parts import Part
from stillhouse.planner.workload import Workload
from stillhouse.questions import Chat, ChatOptions, Prompt, Question, Speech, seeds_of
from stillhouse.replies import AsyncChatStream, ChatStream, Reply, ReplyReader, Usage
from stillhouse.text.answers import AnswerReader
from stillhouse.text.logprobs import LogprobQueue
from stillhouse.text.stop_strings import StopStrings
from stillhouse.text.tool_calls import ToolCallReader
from stillhouse.timings import Clock, Timer, Timings

__all__ = [
    "LLM",
    "AsyncChatStream",
    "Chat",
    "ChatOptions",
    "ChatStream",
    "Likelihood",
    "Reply",
    "Timings",
    "Usage",
]

# What a model takes beside its KV cache: its weights as packed, and the buffers of one step.
_WEIGHTS_OVERHEAD = 1.1
_BUFFER_BYTES = 256_000_000


class LLM:
    """A loaded model with its tokenizer, template and KV cache. A context manager.

    Attributes:
        context_tokens: what prompt and reply may take together; `context_reason` says why so many.
        sampling: what is used where a chat does not say.
        load_s: seconds that loading took.
        facts: what the model is.
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
        admission: Admission = "worst_case",
        progress: Callable[[str, int, int], None] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Pulls the model if it is not here. `progress(stage, done, total)` hears of the loading.

        The KV cache holds a whole context for each of `users`, or what `max_memory_bytes` (default:
        what is free) leave room for; more chats wait. `deterministic` leaves out the matrix tiles,
        so that a reply's numbers never depend on who else is answered. With `admission`
        "overcommit" a chat enters when what it has by now fits: see `Engine`.

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
                speech = beside.submit(Speech.from_metadata, metadata)
                self._model = load_model(
                    checkpoint,
                    threads=self._threads,
                    isa=min(detect(), Isa.AVX512_VNNI) if deterministic else None,
                    progress=progress,
                )
                opened.callback(self._model.close)
                self._speech = speech.result()
            facts = facts_of(
                checkpoint,
                self._speech,
                reference,
                context_tokens=self.context_tokens,
                context_reason=self.context_reason,
            )
            full = _predicted_memory(
                checkpoint, reference, self.context_tokens, num_blocks * BLOCK_TOKENS, kv_type
            )
            self._opened = opened.pop_all()
        self.sampling = self._speech.sampling
        kv = KVCache(self._model.config, num_blocks, kv_type)
        engine = Engine(self._model, kv, context_tokens=self.context_tokens, admission=admission)
        self._engine = EngineLoop(engine)
        self._read_bytes_per_s: float | None = None
        self.load_s = clock() - started
        self.facts = replace(
            facts,
            load_s=self.load_s,
            predicted_load_bytes=None if full is None else memory.at_load(full),
            predicted_full_bytes=None if full is None else full.num_bytes,
        )

    @overload
    def chat(
        self, chat: Chat | Prompt, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Reply: ...

    @overload
    def chat(
        self, chat: Chat | Prompt, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    def chat(
        self, chat: Chat | Prompt, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> Reply | ChatStream:
        """Answers a text or a list of messages: the Reply, or with `stream` its pieces and it.

        A `Prompt` is gone on from as it is: all of the reply is answer, tags included.

        Raises UsageError for a value out of range, BadTemplate for messages that the template
        refuses, ContextTooLong if they do not fit, EngineStopped if the model fails or is closed.
        """
        asked_at = self._clock()
        question = self._question(chat, options)
        answer = ChatStream(
            self._engine.submit(question.request), self._reader(question, asked_at), question
        )
        return answer if stream else answer.drain()

    def samples(
        self,
        chat: Chat | Prompt,
        num_samples: int,
        *,
        seeds: Sequence[int] | None = None,
        **options: Unpack[ChatOptions],
    ) -> list[Reply]:
        """Several replies to one chat, each as `chat` with its seed gives it. The prompt is
        computed once. Their seeds are `seeds`, one each, or count up from the chat's `seed`.
        """
        chosen = seeds_of(num_samples, options.get("seed"), seeds)
        asked_at = self._clock()
        question = self._question(chat, options)
        streams = self._engine.submit_samples(question.request, chosen)
        answers = [
            ChatStream(stream, self._reader(question, asked_at), question) for stream in streams
        ]
        return [answer.drain() for answer in answers]

    @overload
    async def achat(
        self, chat: Chat | Prompt, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Reply: ...

    @overload
    async def achat(
        self, chat: Chat | Prompt, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> AsyncChatStream: ...

    async def achat(
        self, chat: Chat | Prompt, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> Reply | AsyncChatStream:
        """As `chat`, for a task of an event loop, which it does not hold up."""
        (answer,) = await self.asamples(chat, 1, **options)
        return answer if stream else await answer.drain()

    async def asamples(
        self,
        chat: Chat | Prompt,
        num_samples: int,
        *,
        seeds: Sequence[int] | None = None,
        **options: Unpack[ChatOptions],
    ) -> list[AsyncChatStream]:
        """Streams of several replies to one chat, as `samples` gives them; raises as `chat`."""
        chosen = seeds_of(num_samples, options.get("seed"), seeds)
        asked_at = self._clock()
        question = await asyncio.to_thread(self._question, chat, options)
        events = self._engine.submit_samples_async(question.request, chosen)
        return [
            AsyncChatStream(stream, self._reader(question, asked_at), question) for stream in events
        ]

    def likelihoods(self, prompt: str, continuations: Sequence[str]) -> list[Likelihood]:
        """How probable each text is right after the prompt, which is computed once.

        Neither goes through the template. Raises UsageError for a continuation without a token of
        its own, ContextTooLong, EngineStopped.
        """
        asked = self._weighing(prompt, continuations)
        with ExitStack() as opened:
            streams = self._engine.submit_scored(*asked)
            for stream in streams:
                opened.enter_context(stream)
            return weighed(continuations, [next(stream) for stream in streams])

    async def alikelihoods(self, prompt: str, continuations: Sequence[str]) -> list[Likelihood]:
        """As `likelihoods`, for a task of an event loop."""
        asked = await asyncio.to_thread(self._weighing, prompt, continuations)
        with ExitStack() as opened:
            streams = self._engine.submit_scored_async(*asked)
            for stream in streams:
                opened.enter_context(stream)
            return weighed(continuations, [await anext(stream) for stream in streams])

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

    def _question(self, chat: Chat | Prompt, options: ChatOptions) -> Question:
        return self._speech.question(chat, context_tokens=self.context_tokens, **options)

    def _weighing(self, prompt: str, continuations: Sequence[str]) -> Weighing:
        tokenizer = self._speech.tokenizer
        start_id = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
        return weighing(prompt, continuations, self._speech.text_ids, start_id=start_id)

    def _reader(self, question: Question, asked_at: float) -> ReplyReader:
        calls = None
        if question.tool_names:
            calls = ToolCallReader(question.tool_names, random.Random())
        has_logprobs = question.request.sampling.logprobs is not None
        return ReplyReader(
            question,
            AnswerReader(StopStrings(question.stops), calls),
            LogprobQueue(self._speech.tokenizer) if has_logprobs else None,
            Timer(self._clock, asked_at, self.load_s),
        )


def _predicted_memory(
    checkpoint: Checkpoint, reference: str, context_tokens: int, kv_tokens: int, kv_type: KVType
) -> Part | None:
    """What the planner says of it; None for compressed folders, whose forms it does not know."""
    try:
        weights = weights_of(checkpoint, reference)
    except UsageError:
        return None
    users = max(1, kv_tokens // context_tokens)
    workload = Workload(context_tokens, 0, 0, users, context_tokens)
    return memory.memory(
        weights,
        workload,
        engine="stillhouse",
        kv_type=kv_type,
        vocabulary=vocabulary_of(checkpoint),
    )


def _memory_for_kv(checkpoint: Checkpoint, max_memory_bytes: int | None) -> int | None:
    """Bytes that are left beside the model, None where the system does not say what is free."""
    limit = max_memory_bytes
    if limit is None:
        limit = this_machine().available_memory_bytes
    if limit is None:
        return None
    return limit - int(_WEIGHTS_OVERHEAD * checkpoint.file_bytes) - _BUFFER_BYTES
