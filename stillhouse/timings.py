"""When things happened in one reply, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the call of `chat`, and rates; None where there was nothing to time."""

    load_s: float  # of the model, once
    ttft_s: float | None  # to the first token
    ttfat_s: float | None  # to the first text of the answer
    prefill_tokens_per_s: float | None  # of the prompt tokens computed
    decode_tokens_per_s: float | None  # of the tokens after the first
    bandwidth_share: float | None = None  # see LLM.with_bandwidth_share
    queue_s: float | None = None  # until the engine began with it
    thinking_s: float | None = None  # from the first token of a thought to what came after it
    e2e_s: float | None = None  # to the last token


class Timer:
    """Follows one reply."""

    def __init__(self, clock: Clock, asked_at: float, load_s: float) -> None:
        """`asked_at` is when the user asked, by `clock`."""
        self.queue_s: float | None = None
        self._clock = clock
        self._asked_at = asked_at
        self._load_s = load_s
        self._num_tokens = 0
        self._first_at = self._last_at = asked_at
        self._answer_at: float | None = None
        self._thought_at: float | None = None
        self._thought_end_at: float | None = None

    def token(self, *, in_thought: bool) -> None:
        """A token has come."""
        self._last_at = self._clock()
        if not self._num_tokens:
            self._first_at = self._last_at
        self._num_tokens += 1
        if in_thought and self._thought_at is None:
            self._thought_at = self._last_at
        if in_thought or self._thought_end_at is None:
            self._thought_end_at = self._last_at

    def answer(self) -> None:
        """The latest token gave text of the answer."""
        if self._answer_at is None:
            self._answer_at = self._last_at

    def timings(self, num_computed: int) -> Timings:
        """`num_computed` prompt tokens came before the first token of the reply."""
        ttft_s = self._first_at - self._asked_at
        decode_s = self._last_at - self._first_at
        thinking_s = None
        if self._thought_at is not None and self._thought_end_at is not None:
            thinking_s = self._thought_end_at - self._thought_at
        return Timings(
            load_s=self._load_s,
            ttft_s=ttft_s if self._num_tokens else None,
            ttfat_s=None if self._answer_at is None else self._answer_at - self._asked_at,
            prefill_tokens_per_s=num_computed / ttft_s if ttft_s > 0 else None,
            decode_tokens_per_s=(self._num_tokens - 1) / decode_s if decode_s > 0 else None,
            queue_s=self.queue_s,
            thinking_s=thinking_s,
            e2e_s=self._last_at - self._asked_at if self._num_tokens else None,
        )
