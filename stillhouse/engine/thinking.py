"""A thought and its budget, told by token ids alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

ThinkingEnd = Literal["natural", "budget", "loop", "context", "client", "none"]


@dataclass(frozen=True, slots=True)
class ThinkingLimit:
    """How a model's thoughts open and close, and how many tokens they may take in all.

    `open` says that the prompt has already opened one. The tags are the ids that spell them, often
    one (`<think>`), sometimes several; without `open_ids` the model cannot open a thought itself.
    A budget of None only tells thoughts apart; 0 closes a thought before its first token.
    """

    open: bool
    open_ids: tuple[int, ...]
    close_ids: tuple[int, ...]
    budget_tokens: int | None = None

    def __post_init__(self) -> None:
        assert self.close_ids
        assert self.budget_tokens is None or self.budget_tokens >= 0


class ThoughtTracker:
    """Follows one sequence. Before each token ask `forced`; after it call `push`.

    A token is *in thought* if it comes after an opening tag and is not part of a forced closing tag
    or the last token of a natural one (of a natural tag of several ids the first could be anything
    when they came). The number of such tokens never exceeds the budget: when they reach it, the
    closing tag is forced, or what is missing of it if the model has begun to write it.
    """

    def __init__(self, limit: ThinkingLimit) -> None:
        self._limit = limit
        self._recent: deque[int] = deque(maxlen=max(len(limit.open_ids), len(limit.close_ids)))
        self._forced: deque[int] = deque()
        self._spent = 0
        self.is_open = False
        if limit.open:
            self._enter()

    def forced(self) -> int | None:
        """The id that the next token must be, or None where the model is free to choose."""
        return self._forced[0] if self._forced else None

    def push(self, token_id: int) -> tuple[bool, ThinkingEnd | None]:
        """Takes the chosen token; says if it is in thought, and how a thought ended with it."""
        self._recent.append(token_id)
        if self._forced:
            expected = self._forced.popleft()
            assert token_id == expected
            if not self._forced:
                self._leave()
                return False, "budget"
            return False, None
        if not self.is_open:
            if self._has_just_seen(self._limit.open_ids):
                self._enter()
            return False, None
        if self._has_just_seen(self._limit.close_ids):
            self._leave()
            return False, "natural"
        self._spent += 1
        self._force_if_spent()
        return True, None

    def correct(self, is_open: bool) -> None:
        """Sets what the ids could not tell; a tag that is being forced comes to its end."""
        if self._forced or is_open == self.is_open:
            return
        if is_open:
            self._enter()
        else:
            self._leave()

    def _enter(self) -> None:
        self.is_open = True
        self._recent.clear()
        self._force_if_spent()

    def _leave(self) -> None:
        self.is_open = False
        self._recent.clear()

    def _force_if_spent(self) -> None:
        if self._spent == self._limit.budget_tokens:
            self._forced.extend(self._limit.close_ids[self._begun() :])

    def _begun(self) -> int:
        """How many ids of the closing tag the latest tokens spell."""
        close = self._limit.close_ids
        return next(
            n for n in reversed(range(len(close))) if self._has_just_seen(close[:n]) or not n
        )

    def _has_just_seen(self, tag: tuple[int, ...]) -> bool:
        return bool(tag) and tuple(self._recent)[-len(tag) :] == tag
