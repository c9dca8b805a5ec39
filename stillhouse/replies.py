"""A reply while it comes and when it is whole: texts, why it ended, tokens, times."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from stillhouse.engine import (
    AsyncEventStream,
    EventStream,
    FinishReason,
    Phase,
    ThinkingEnd,
    TokenEvent,
)
from stillhouse.questions import Question
from stillhouse.text import Delta, TokenLogprob, ToolCall
from stillhouse.text.answers import AnswerReader
from stillhouse.text.logprobs import LogprobQueue
from stillhouse.timings import Timer, Timings

# How a thought ended that was still open when the reply did.
_CUT_OFF: dict[FinishReason, ThinkingEnd] = {
    "stop": "natural",
    "length": "context",
    "loop": "loop",
    "cancelled": "client",
}

# What a reply says to those who only want to read it.
_DOCUMENTED = ("reasoning", "answer", "finish_reason", "thinking_end", "usage", "timings")

EndReason = FinishReason | Literal["tool_calls"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a reply. A thought's tags count with the answer, a stop token as nothing."""

    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    cached_tokens: int  # of the prompt: found in the KV cache, not computed


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model thought and said, why it ended, and what it took."""

    reasoning: str
    answer: str
    finish_reason: EndReason  # "tool_calls": it ended by itself, and wants tools to be called
    thinking_end: ThinkingEnd
    usage: Usage
    timings: Timings
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()  # of the answer's tokens, where they were asked for
    echo: str = ""  # the prompt, where it was to come back
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # of its tokens; not of further samples
    phase: Phase = "decode"  # where it was when it ended

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`; without calls and log-probabilities,
        which have forms of their own wherever they are asked for.
        """
        document = asdict(replace(self, logprobs=(), prompt_logprobs=(), tool_calls=()))
        return {name: document[name] for name in _DOCUMENTED}


class ReplyReader:
    """Makes pieces of text, and last the `Reply`, from a request's events."""

    def __init__(
        self,
        question: Question,
        answer: AnswerReader,
        logprobs: LogprobQueue | None,
        timer: Timer,
    ) -> None:
        self._splitter = question.splitter.fork()
        self._answer = answer
        self._logprobs = logprobs
        self._timer = timer
        self._question = question
        self._num_prompt = question.request.num_prompt
        self._num_cached = 0
        self._num_reasoning = self._num_answer = 0
        self._texts = {"reasoning": "", "answer": ""}
        self._tool_calls: list[ToolCall] = []
        self._all_logprobs: list[TokenLogprob] = []
        self._prompt_logprobs: tuple[TokenLogprob, ...] = ()
        self._thinking_end: ThinkingEnd = "none"
        self._phase: Phase = "decode"

    def read(self, event: TokenEvent) -> list[Delta | Reply]:
        """What an event adds; a Reply is the last item of all."""
        self._num_cached = event.cached_tokens
        self._timer.queue_s = event.queue_s
        self._phase = event.phase
        self._note_scores(event)
        items: list[Delta | Reply] = [*self._sure(self._split(event))]
        if self._answer.has_ended:
            return [*items, self._reply("stop")]
        if event.finish_reason is not None:
            return [*items, *self.finish(event.finish_reason)]
        return items

    def finish(self, finish_reason: FinishReason) -> list[Delta | Reply]:
        """What was held back, and a Reply of what there is."""
        return [
            *self._sure(self._splitter.finish()),
            *self._pieces(self._answer.finish()),
            self._reply(finish_reason),
        ]

    def _reply(self, finish_reason: FinishReason) -> Reply:
        if self._splitter.in_thought and self._thinking_end == "none":
            self._thinking_end = _CUT_OFF[finish_reason]
        if self._question.echo is not None and self._logprobs is not None:
            self._all_logprobs += self._logprobs.due(self._answer.settled_chars)
        wants_calls = bool(self._tool_calls) and finish_reason == "stop"
        return Reply(
            self._texts["reasoning"],
            self._texts["answer"],
            "tool_calls" if wants_calls else finish_reason,
            self._thinking_end,
            Usage(self._num_prompt, self._num_reasoning, self._num_answer, self._num_cached),
            self._timer.timings(self._num_prompt - self._num_cached),
            tuple(self._tool_calls),
            tuple(self._all_logprobs),
            self._question.echo or "",
            self._prompt_logprobs,
            self._phase,
        )

    def _note_scores(self, event: TokenEvent) -> None:
        """Of the prompt's tokens, all of which but the first come with the first event."""
        asked = self._question.request
        is_all = asked.score_from is not None and len(event.scores) == asked.num_prompt - 1
        if is_all and self._logprobs is not None:
            self._prompt_logprobs = self._logprobs.of_prompt(asked.prompt_ids[0], event.scores)

    def _split(self, event: TokenEvent) -> list[Delta]:
        """What a token adds to the texts; notes the time, and how a thought ends with it."""
        if event.token_id is None:
            return []
        self._timer.token(in_thought=event.in_thought)
        if event.thinking_end not in (None, "natural"):
            self._thinking_end = event.thinking_end
        if event.finish_reason == "stop":  # a stop token is no text
            if self._question.echo is not None and self._logprobs is not None:
                self._logprobs.push(event, 0)  # where all tokens are told, so that they add up
            return []
        if event.in_thought:
            self._num_reasoning += 1
        else:
            self._num_answer += 1
        was_in_thought = self._splitter.in_thought
        deltas = self._splitter.push(event.token_id)
        ended = was_in_thought and not self._splitter.in_thought
        if ended and self._thinking_end == "none":
            self._thinking_end = "natural"
        answer = [delta.text for delta in deltas if delta.kind == "answer"]
        if answer:
            self._timer.answer()
        if self._logprobs is not None and not (was_in_thought or self._splitter.in_thought):
            self._logprobs.push(event, sum(map(len, answer)))
        return deltas

    def _sure(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        """What stop strings and calls leave of these; thoughts pass."""
        for delta in deltas:
            if delta.kind == "answer":
                yield from self._pieces(self._answer.push(delta.text))
            else:
                self._texts["reasoning"] += delta.text
                yield delta
            if self._answer.has_ended:
                return

    def _pieces(self, items: Iterable[str | ToolCall]) -> Iterator[Delta]:
        """Of the answer, each with the log-probabilities that are due by then."""
        for item in items:
            due: tuple[TokenLogprob, ...] = ()
            if self._logprobs is not None:
                due = self._logprobs.due(self._answer.settled_chars)
                self._all_logprobs += due
            if isinstance(item, str):
                self._texts["answer"] += item
                yield Delta("answer", item, due)
            else:
                self._tool_calls.append(item)
                yield Delta("tool_calls", "", due, (item,))


class _Chat:
    """What a chat's streams have in common: items that were read and not yet taken. A context
    manager that closes itself, however its reader leaves. `question` is what the engine was asked.
    """

    def __init__(
        self, events: EventStream | AsyncEventStream, reader: ReplyReader, question: Question
    ) -> None:
        self.question = question
        self._request = events
        self._reader = reader
        self._ready: deque[Delta | Reply] = deque()
        self._is_whole = False

    def cancel(self) -> None:
        """Stops the model before its next step; what it has said and nobody read is left out."""
        if not self._is_whole:
            self._put(self._reader.finish("cancelled"))

    def answer_now(self) -> None:
        """Closes the thought, if one is open, and has the answer come."""
        self._request.close_thought()

    def stop(self) -> None:
        """Stops the model before its next step; what it has said still comes."""
        self._request.cancel()

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

    def __init__(self, events: EventStream, reader: ReplyReader, question: Question) -> None:
        super().__init__(events, reader, question)
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

    def __init__(self, events: AsyncEventStream, reader: ReplyReader, question: Question) -> None:
        super().__init__(events, reader, question)
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
