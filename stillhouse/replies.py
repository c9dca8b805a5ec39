"""A reply while it comes and when it is whole: texts, why it ended, tokens, times."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from stillhouse.engine import (
    AsyncEventStream,
    EventStream,
    FinishReason,
    ThinkingEnd,
    TokenEvent,
)
from stillhouse.text import Delta, ReasoningSplitter
from stillhouse.text.stop_strings import StopStrings

Clock = Callable[[], float]

# How a thought ended that was still open when the reply did.
_CUT_OFF: dict[FinishReason, ThinkingEnd] = {
    "stop": "natural",
    "length": "context",
    "cancelled": "client",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a reply. A thought's tags count as reasoning, a stop token as nothing."""

    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    cached_tokens: int  # of the prompt: found in the KV cache, not computed


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the call of `chat`, and rates; None where there was nothing to time."""

    load_s: float  # of the model, once
    ttft_s: float | None  # to the first token
    ttfat_s: float | None  # to the first text of the answer
    prefill_tokens_per_s: float | None  # of the prompt tokens computed
    decode_tokens_per_s: float | None  # of the tokens after the first
    bandwidth_share: float | None = None  # see LLM.with_bandwidth_share


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model thought and said, why it ended, and what it took."""

    reasoning: str
    answer: str
    finish_reason: FinishReason
    thinking_end: ThinkingEnd
    usage: Usage
    timings: Timings

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`."""
        return asdict(self)


class ReplyReader:
    """Makes pieces of text, and last the `Reply`, from a request's events."""

    def __init__(
        self,
        num_prompt: int,
        splitter: ReasoningSplitter,
        stops: StopStrings,
        *,
        load_s: float,
        asked_at: float,
        clock: Clock,
    ) -> None:
        """`asked_at` is when the user asked, by `clock`."""
        self._splitter = splitter
        self._stops = stops
        self._times = _Times(clock, asked_at, load_s)
        self._num_prompt = num_prompt
        self._num_cached = 0
        self._texts = {"reasoning": "", "answer": ""}
        self._thinking_end: ThinkingEnd = "none"

    def read(self, event: TokenEvent) -> list[Delta | Reply]:
        """What an event adds; a Reply is the last item of all."""
        self._num_cached = event.cached_tokens
        items: list[Delta | Reply] = [*self._sure(self._split(event))]
        if self._stops.found:
            return [*items, self._reply("stop")]
        if event.finish_reason is not None:
            return [*items, *self.finish(event.finish_reason)]
        return items

    def finish(self, finish_reason: FinishReason) -> list[Delta | Reply]:
        """What was held back, and a Reply of what there is."""
        return [
            *self._sure(self._splitter.finish()),
            *self._piece(Delta("answer", self._stops.finish())),
            self._reply(finish_reason),
        ]

    def _reply(self, finish_reason: FinishReason) -> Reply:
        if self._splitter.in_thought:
            self._thinking_end = _CUT_OFF[finish_reason]
        return Reply(
            self._texts["reasoning"],
            self._texts["answer"],
            finish_reason,
            self._thinking_end,
            Usage(
                self._num_prompt,
                self._splitter.reasoning_tokens,
                self._splitter.answer_tokens,
                self._num_cached,
            ),
            self._times.timings(self._num_prompt - self._num_cached),
        )

    def _split(self, event: TokenEvent) -> list[Delta]:
        """What a token adds to the texts; notes the time, and how a thought ends with it."""
        if event.token_id is None:
            return []
        self._times.token()
        if event.thinking_end == "budget":
            self._thinking_end = "budget"
        if event.finish_reason == "stop":
            return []  # a stop token is no text
        was_in_thought = self._splitter.in_thought
        deltas = self._splitter.push(event.token_id)
        ended = was_in_thought and not self._splitter.in_thought
        if ended and self._thinking_end == "none":
            self._thinking_end = "natural"
        if any(delta.kind == "answer" for delta in deltas):
            self._times.answer()
        return deltas

    def _sure(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        """What stop strings leave of these: they end the answer, and thoughts pass."""
        for delta in deltas:
            if delta.kind == "answer":
                delta = Delta("answer", self._stops.push(delta.text))
            yield from self._piece(delta)
            if self._stops.found:
                return

    def _piece(self, delta: Delta) -> Iterator[Delta]:
        if delta.text:
            self._texts[delta.kind] += delta.text
            yield delta


class _Chat:
    """What a chat's streams have in common: items that were read and not yet taken. A context
    manager that closes itself, however its reader leaves.
    """

    def __init__(self, events: EventStream | AsyncEventStream, reader: ReplyReader) -> None:
        self._request = events
        self._reader = reader
        self._ready: deque[Delta | Reply] = deque()
        self._is_whole = False

    def cancel(self) -> None:
        """Stops the model before its next step; what it has said and nobody read is left out."""
        if not self._is_whole:
            self._put(self._reader.finish("cancelled"))

    def close(self) -> None:
        """Stops the model and the stream: nothing more comes."""
        self.cancel()
        self._ready.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, items: list[Delta | Reply]) -> None:
        self._ready.extend(items)
        if items and isinstance(items[-1], Reply):
            self._is_whole = True
            self._request.cancel()


class ChatStream(_Chat, Iterator[Delta | Reply]):
    """A reply as it comes: its pieces, never empty, and last the whole `Reply`.

    After `cancel` the rest is what was held back, and a Reply of what was read so far.
    """

    def __init__(self, events: EventStream, reader: ReplyReader) -> None:
        super().__init__(events, reader)
        self._events = events

    def __next__(self) -> Delta | Reply:
        while not self._ready:
            if self._is_whole:
                raise StopIteration
            self._put(self._reader.read(next(self._events)))
        return self._ready.popleft()

    def drain(self) -> Reply:
        """The Reply, without the pieces."""
        for item in self:
            if isinstance(item, Reply):
                return item
        raise AssertionError("a stream ends with a Reply")


class AsyncChatStream(_Chat, AsyncIterator[Delta | Reply]):
    """The same for tasks of the event loop in which the chat was asked for."""

    def __init__(self, events: AsyncEventStream, reader: ReplyReader) -> None:
        super().__init__(events, reader)
        self._events = events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta | Reply:
        while not self._ready:
            if self._is_whole:
                raise StopAsyncIteration
            self._put(self._reader.read(await anext(self._events)))
        return self._ready.popleft()

    async def drain(self) -> Reply:
        """The Reply, without the pieces."""
        async for item in self:
            if isinstance(item, Reply):
                return item
        raise AssertionError("a stream ends with a Reply")


class _Times:
    """When things happened in one reply."""

    def __init__(self, clock: Clock, asked_at: float, load_s: float) -> None:
        self._clock = clock
        self._asked_at = asked_at
        self._load_s = load_s
        self._num_tokens = 0
        self._first_at = self._last_at = self._answer_at = asked_at

    def token(self) -> None:
        self._last_at = self._clock()
        if not self._num_tokens:
            self._first_at = self._last_at
        self._num_tokens += 1

    def answer(self) -> None:
        """The latest token gave text of the answer."""
        if self._answer_at == self._asked_at:
            self._answer_at = self._last_at

    def timings(self, num_computed: int) -> Timings:
        """`num_computed` prompt tokens came before the first token of the reply."""
        ttft_s = self._first_at - self._asked_at
        ttfat_s = self._answer_at - self._asked_at
        decode_s = self._last_at - self._first_at
        return Timings(
            load_s=self._load_s,
            ttft_s=ttft_s if self._num_tokens else None,
            ttfat_s=ttfat_s or None,
            prefill_tokens_per_s=num_computed / ttft_s if ttft_s > 0 else None,
            decode_tokens_per_s=(self._num_tokens - 1) / decode_s if decode_s > 0 else None,
        )
