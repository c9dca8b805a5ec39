"""Log-probabilities of tokens: of a prompt's, and of an answer's, told when their text is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from stillhouse.text.pieces import TokenLogprob
from stillhouse.text.tokenizer import Tokenizer


class ScoredToken(Protocol):
    """What the engine says of a token."""

    @property
    def token_id(self) -> int | None: ...
    @property
    def logprob(self) -> float | None: ...
    @property
    def top_logprobs(self) -> Iterable[tuple[int, float]]: ...


class LogprobQueue:
    """Tokens wait here until their text is certain; what a stop string drops is never told."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._waiting: deque[tuple[int, TokenLogprob]] = deque()
        self._num_chars = 0

    def push(self, token: ScoredToken, num_chars: int) -> None:
        """A token of the answer, which added so many characters to its text."""
        self._num_chars += num_chars
        if token.token_id is None or token.logprob is None:
            return
        self._waiting.append((self._num_chars, self._scored(token.token_id, token)))

    def due(self, settled_chars: int) -> tuple[TokenLogprob, ...]:
        """Those whose text is among the first so many characters of the answer."""
        due: list[TokenLogprob] = []
        while self._waiting and self._waiting[0][0] <= settled_chars:
            due.append(self._waiting.popleft()[1])
        return tuple(due)

    def of_prompt(self, first_id: int, others: Iterable[ScoredToken]) -> tuple[TokenLogprob, ...]:
        """A whole prompt, whose first token has no log-probability."""
        scored = (self._scored(t.token_id, t) for t in others if t.token_id is not None)
        return (self._named(first_id, None), *scored)

    def _scored(self, token_id: int, token: ScoredToken) -> TokenLogprob:
        top = tuple(self._named(other, logprob) for other, logprob in token.top_logprobs)
        return self._named(token_id, token.logprob, top)

    def _named(
        self, token_id: int, logprob: float | None, top: tuple[TokenLogprob, ...] = ()
    ) -> TokenLogprob:
        raw = self._tokenizer.token_bytes(token_id)
        return TokenLogprob(token_id, raw.decode("utf-8", errors="replace"), raw, logprob, top)
