"""A server's chunks as pieces and a Reply, with this client's times and the server's counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from stillhouse.client.inline_thoughts import InlineThoughts
from stillhouse.engine import ThinkingEnd
from stillhouse.errors import RequestFailed
from stillhouse.replies import EndReason, Reply, Usage
from stillhouse.text import Delta
from stillhouse.timings import Timings

Counted = Literal["usage", "chunks"]
"""Who told a reply's thought from its answer in tokens: the server, or its pieces were counted."""

# Where servers put what a model thinks: DeepSeek's name, OpenRouter's and vLLM's, Ollama's.
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")

_FINISH: dict[str, EndReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "abort": "cancelled",  # SGLang and vLLM
    "loop": "loop",
    "cancelled": "cancelled",
}

# How a thought ended that was still open when the reply did.
_CUT_OFF: dict[EndReason, ThinkingEnd] = {
    "stop": "natural",
    "tool_calls": "natural",
    "length": "context",
    "loop": "loop",
    "cancelled": "client",
}


@dataclass(frozen=True, slots=True)
class ServedReply(Reply):
    """A Reply, and how much of it the server itself said.

    Without the server's usage, tokens are pieces and the prompt's are 0. Where it counts a reply's
    tokens but not those of its thought, they are shared out as the pieces were.
    """

    counted: Counted = "usage"
    num_pieces: int = 0
    knows_cached: bool = False  # else usage.cached_tokens is 0 because nobody said
    warnings: tuple[str, ...] = ()  # of our own server: fields without an effect


class ServedReplyReader:
    """Makes pieces of text, and last the ServedReply, from a stream's documents."""

    __slots__ = (
        "_answer_at", "_asked_at", "_finish", "_first_at", "_inline", "_is_plain",
        "_last_at", "_num_answer", "_num_reasoning", "_thought_at", "_thought_end_at",
        "_thoughts", "_usage", "_vendor", "_warnings", "is_whole",
    )  # fmt: skip

    def __init__(self, asked_at: float, *, is_plain: bool, may_be_inline: bool) -> None:
        """`is_plain`: of a bare prompt, so that all is answer, tags included. `may_be_inline`:
        whether a chat's text may hold thoughts with their tags.
        """
        self.is_whole = False  # the server has said that it is done
        self._is_plain = is_plain
        self._inline = InlineThoughts()
        if is_plain or not may_be_inline:
            self._inline.verbatim()
        self._thoughts: list[str] = []  # that came in a field of their own
        self._num_reasoning = self._num_answer = 0  # pieces
        self._asked_at = asked_at
        self._first_at: float | None = None
        self._last_at = asked_at
        self._answer_at: float | None = None
        self._thought_at: float | None = None
        self._thought_end_at: float | None = None
        self._finish: str | None = None
        self._vendor: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._warnings: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the server has said why the reply ended; its usage may still come."""
        return self._finish is not None or self.is_whole

    def read(self, document: dict[str, Any], now: float) -> list[Delta]:
        """What a chunk that came at `now` adds. Raises RequestFailed for an end with no meaning
        here; TypeError or AttributeError for a document that is no chunk.
        """
        deltas: list[Delta] = []
        choices = document.get("choices")
        if choices:
            choice = choices[0]
            if self._is_plain:
                content = choice.get("text")
            else:
                delta = choice.get("delta") or {}
                content = delta.get("content")
                if len(delta) > 1 or not content:
                    thought = _thought_of(delta)
                    if thought:
                        deltas += self._take_thought(thought, now)
            if content:
                deltas += self._take_content(content, now)
            if choice.get("finish_reason"):
                self._end(choice)
                self._warnings = tuple(map(str, document.get("warnings") or ()))
        if document.get("usage"):
            self._usage = _usage_of(document)
        return deltas

    def finish(self, finish_reason: EndReason | None = None) -> list[Delta | ServedReply]:
        """What was held back, and the reply of what there is; `finish_reason` if not its own."""
        self.is_whole = True
        deltas = [Delta(kind, text) for kind, text in self._inline.finish()]
        if finish_reason is None:
            finish_reason = _FINISH[self._vendor.get("finish_reason") or self._finish or "stop"]
        if self._answer_at is None and self._inline.answer.strip():
            self._answer_at = self._last_at
        thought = "".join(self._thoughts) or self._inline.reasoning
        answer = self._inline.answer
        usage, counted, knows_cached = self._counts(bool(thought))
        reply = ServedReply(
            thought,
            answer,
            finish_reason,
            self._thinking_end(thought, answer, finish_reason),
            usage,
            self._timings(usage),
            counted=counted,
            num_pieces=self._num_reasoning + self._num_answer,
            knows_cached=knows_cached,
            warnings=self._warnings,
        )
        return [*deltas, reply]

    def _take_thought(self, text: str, now: float) -> list[Delta]:
        deltas: list[Delta] = []
        if not self._thoughts:
            deltas = [Delta(kind, rest) for kind, rest in self._inline.verbatim()]
        self._thoughts.append(_checked(text))
        self._num_reasoning += 1
        self._note_thought(now)
        deltas.append(Delta("reasoning", text))
        return deltas

    def _take_content(self, text: str, now: float) -> list[Delta]:
        inline = self._inline
        was_closed = inline.is_closed
        was_in_thought = inline.in_thought
        pieces = inline.push(_checked(text))
        if inline.in_thought and (was_in_thought or pieces):
            self._note_thought(now)
            self._num_reasoning += 1
        else:  # tags count with the answer
            if inline.is_closed and not (was_closed or was_in_thought):
                self._turn_into_thought(now)
            self._note(now)
            self._num_answer += 1
        if self._answer_at is None:
            for kind, piece in pieces:
                if kind == "answer" and not piece.isspace():
                    self._answer_at = now
        return [Delta(kind, piece) for kind, piece in pieces]

    def _turn_into_thought(self, now: float) -> None:
        """All that was taken for an answer was a thought that the template had opened."""
        self._num_reasoning += self._num_answer
        self._num_answer = 0
        self._answer_at = None
        self._thought_at = now if self._first_at is None else self._first_at
        self._thought_end_at = None

    def _note(self, now: float) -> None:
        if self._first_at is None:
            self._first_at = now
        if self._thought_at is not None and self._thought_end_at is None:
            self._thought_end_at = now
        self._last_at = now

    def _note_thought(self, now: float) -> None:
        if self._first_at is None:
            self._first_at = now
        if self._thought_at is None:
            self._thought_at = now
        self._last_at = now

    def _end(self, choice: dict[str, Any]) -> None:
        reason = choice["finish_reason"]
        vendor = choice.get("stillhouse") or {}
        for word in (reason, vendor.get("finish_reason") or reason):
            if word not in _FINISH:
                raise RequestFailed(
                    f"the server ended its reply with the finish_reason '{str(word)[:100]}'",
                    kind="server",
                )
        self._finish, self._vendor = reason, vendor

    def _thinking_end(self, thought: str, answer: str, finish_reason: EndReason) -> ThinkingEnd:
        told = self._vendor.get("thinking_end")
        if told in get_args(ThinkingEnd):
            return cast(ThinkingEnd, told)
        if self._inline.is_closed:
            return "natural"
        if not thought and not self._inline.in_thought:
            return "none"
        return "natural" if answer.strip() else _CUT_OFF[finish_reason]

    def _counts(self, has_thought: bool) -> tuple[Usage, Counted, bool]:
        """Tokens, who counted them, and whether cached ones were spoken of."""
        reasoning, answer = self._num_reasoning, self._num_answer
        told = self._usage
        if told is None:
            return Usage(0, reasoning, answer, 0), "chunks", False
        prompt, cached = told["prompt"] or 0, told["cached"]
        total, of_thought = told["completion"], told["reasoning"]
        counted: Counted = "usage"
        if total is None:
            counted = "chunks"
        elif not has_thought and not self._inline.is_closed and not of_thought:
            reasoning, answer = 0, total
        elif of_thought is not None and (of_thought or not has_thought) and of_thought <= total:
            reasoning, answer = of_thought, total - of_thought
        else:  # not told, or 0 beside a thought that has come
            counted = "chunks"
            reasoning = round(total * reasoning / max(1, reasoning + answer))
            answer = total - reasoning
        return Usage(prompt, reasoning, answer, cached or 0), counted, cached is not None

    def _timings(self, usage: Usage) -> Timings:
        """On this client's clock. Cached tokens that the server keeps to itself count as read."""
        if self._first_at is None:
            return Timings(0.0, None, None, None, None)
        ttft_s = self._first_at - self._asked_at
        decode_s = self._last_at - self._first_at
        num_tokens = usage.reasoning_tokens + usage.answer_tokens
        num_computed = usage.prompt_tokens - usage.cached_tokens
        thinking_s = None
        if self._thought_at is not None:
            ended_at = self._last_at if self._thought_end_at is None else self._thought_end_at
            thinking_s = ended_at - self._thought_at
        return Timings(
            load_s=0.0,
            ttft_s=ttft_s,
            ttfat_s=None if self._answer_at is None else self._answer_at - self._asked_at,
            prefill_tokens_per_s=num_computed / ttft_s if ttft_s > 0 and num_computed > 0 else None,
            decode_tokens_per_s=(num_tokens - 1) / decode_s if decode_s > 0 else None,
            thinking_s=thinking_s,
            e2e_s=self._last_at - self._asked_at,
        )


def _thought_of(delta: dict[str, Any]) -> str | None:
    """Of a piece; servers with two names for it send the same under both."""
    for name in _THOUGHT_FIELDS:
        if text := delta.get(name):
            return cast(str, text)
    return None


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("a piece is not text")
    return text


def _usage_of(document: dict[str, Any]) -> dict[str, int | None]:
    """Tokens as the server counts them; None for what it does not say."""
    usage = document["usage"]
    of_prompt = usage.get("prompt_tokens_details") or {}
    of_reply = usage.get("completion_tokens_details") or {}
    timings = document.get("timings") or {}  # llama.cpp's
    return {
        "prompt": _count(usage.get("prompt_tokens")),
        "cached": _count(of_prompt.get("cached_tokens"), timings.get("cache_n")),
        "completion": _count(usage.get("completion_tokens")),
        "reasoning": _count(of_reply.get("reasoning_tokens"), usage.get("reasoning_tokens")),
    }


def _count(*told: object) -> int | None:
    """The first that is told. Raises TypeError for what is no number of tokens."""
    value = next((value for value in told if value is not None), None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise TypeError("a count of tokens is no number")
    return value
