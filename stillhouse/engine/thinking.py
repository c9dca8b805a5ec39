"""A thought and its budget, told by token ids alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Literal, Protocol, Self

ThinkingEnd = Literal["natural", "budget", "loop", "context", "client", "none"]


class TextView(Protocol):
    """What the text shows of a sequence's thought, token by token."""

    @property
    def in_thought(self) -> bool: ...

    def push(self, token_id: int) -> object: ...

    def fork(self) -> Self:
        """The same view of another sequence that goes on from here."""
        ...


@dataclass(frozen=True, slots=True)
class ThinkingLimit:
    """How a model's thoughts open and close, and how many tokens they may take in all.

    `open` says that the prompt has already opened one. The tags are the ids that spell them, often
    one (`<think>`), sometimes several; without `open_ids` the model cannot open a thought itself.
    A budget of None only tells thoughts apart; 0 closes a thought before its first token. A `view`
    (its forks are used, not itself) sees tags that the model spells in other ids than these.

    A thought also closes while `answer_reserve_tokens` of the request's tokens are left after its
    tag. In the last `soft_tokens` before either limit it closes behind a token of `boundary_ids`,
    at the end of a line, say, rather than in the middle of a sentence. Tokens of `blank_ids` show
    nothing: a reply of nothing else behind its thought is no answer.
    """

    open: bool
    open_ids: tuple[int, ...]
    close_ids: tuple[int, ...]
    budget_tokens: int | None = None
    view: TextView | None = None
    answer_reserve_tokens: int = 0
    soft_tokens: int = 0
    boundary_ids: frozenset[int] = frozenset()
    blank_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        assert self.close_ids
        assert self.budget_tokens is None or self.budget_tokens >= 0
        assert self.answer_reserve_tokens >= 0
        assert self.soft_tokens >= 0


class ThoughtTracker:
    """Follows one sequence. Before each token ask `forced`; after it call `push`.

    A token is *in thought* if it comes after an opening tag and is not part of a forced closing tag
    or the last token of a natural one (of a natural tag of several ids the first could be anything
    when they came). The number of such tokens never exceeds the budget: when they reach it, the
    closing tag is forced, or what is missing of it if the model has begun to write it.
    """

    def __init__(self, limit: ThinkingLimit, room_tokens: int) -> None:
        """`room_tokens` is how many tokens the sequence may still get."""
        self._limit = limit
        self._view = None if limit.view is None else limit.view.fork()
        self._recent: deque[int] = deque(maxlen=max(len(limit.open_ids), len(limit.close_ids)))
        self._forced: deque[int] = deque()
        self._forced_end: ThinkingEnd = "none"  # why the closing tag is being forced
        self._spent = 0
        self._room = room_tokens
        self._is_unanswered = False  # a thought has ended, and nothing but blanks has followed
        self.is_open = False
        if limit.open:
            self._enter()

    @property
    def has_reserve(self) -> bool:
        """Whether an answer is owed: then no stop id may end the sequence inside a thought."""
        return self._limit.answer_reserve_tokens > 0

    @property
    def owes_answer(self) -> bool:
        """Whether a thought has ended and no answer has begun: no stop id may end the sequence."""
        return self._is_unanswered and self.has_reserve

    @property
    def end_when_cut(self) -> ThinkingEnd:
        """How the open thought ends if the sequence has no more room."""
        return self._forced_end if self._forced else "context"

    @property
    def opening_ids(self) -> tuple[int, ...]:
        """The token with which the model may open a thought itself, if one does it."""
        return self._limit.open_ids if len(self._limit.open_ids) == 1 else ()

    def forced(self) -> int | None:
        """The id that the next token must be, or None where the model is free to choose."""
        return self._forced[0] if self._forced else None

    def close(self, end: ThinkingEnd) -> None:
        """Forces the closing tag from the next token on, if a thought is open and it is not yet."""
        if self.is_open and not self._forced:
            self._forced.extend(self._limit.close_ids[self._begun() :])
            self._forced_end = end

    def push(self, token_id: int) -> tuple[bool, ThinkingEnd | None]:
        """Takes the chosen token; says if it is in thought, and how a thought ended with it."""
        self._room -= 1
        result = self._follow_ids(token_id)
        if self._view is not None:
            was_in_thought = self._view.in_thought
            self._view.push(token_id)
            if self._view.in_thought != was_in_thought:
                self._correct(not was_in_thought)
        return result

    def fork(self, extra_ids: Sequence[int], room_tokens: int) -> ThoughtTracker:
        """One for a sequence that goes on from here after ids that nobody chose, and then may get
        `room_tokens`.

        Those ids count as tokens too, and may overshoot the budget; what is missing of a tag that
        was being forced is forgotten if they go on otherwise, and forced after them if need be.
        """
        fork = copy(self)
        fork._view = None if self._view is None else self._view.fork()
        fork._recent, fork._forced = self._recent.copy(), self._forced.copy()
        fork._room = room_tokens + len(extra_ids)
        for token_id in extra_ids:
            if fork._forced and fork._forced[0] != token_id:
                fork._forced.clear()
            fork.push(token_id)
        fork._force_if_spent()
        return fork

    def _follow_ids(self, token_id: int) -> tuple[bool, ThinkingEnd | None]:
        self._recent.append(token_id)
        if self._forced:
            expected = self._forced.popleft()
            assert token_id == expected
            if not self._forced:
                self._leave()
                return False, self._forced_end
            return False, None
        if not self.is_open:
            if token_id not in self._limit.blank_ids:
                self._is_unanswered = False
            if self._has_just_seen(self._limit.open_ids):
                self._enter()
            return False, None
        if self._has_just_seen(self._limit.close_ids):
            self._leave()
            return False, "natural"
        self._spent += 1
        self._force_if_spent()
        return True, None

    def _correct(self, is_open: bool) -> None:
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
        self._is_unanswered = True
        self._recent.clear()

    def _force_if_spent(self) -> None:
        """Closes the thought where a limit is reached, or near and this is a good place."""
        limit = self._limit
        at_boundary = bool(self._recent) and self._recent[-1] in limit.boundary_ids
        soft = limit.soft_tokens if at_boundary else 0
        if limit.budget_tokens is not None and self._spent + soft >= limit.budget_tokens:
            self.close("budget")
        elif limit.answer_reserve_tokens:
            owed = limit.answer_reserve_tokens + len(limit.close_ids)
            if self._room <= owed + soft:
                self.close("context")

    def _begun(self) -> int:
        """How many ids of the closing tag the latest tokens spell."""
        close = self._limit.close_ids
        return next(
            n for n in reversed(range(len(close))) if self._has_just_seen(close[:n]) or not n
        )

    def _has_just_seen(self, tag: tuple[int, ...]) -> bool:
        return bool(tag) and tuple(self._recent)[-len(tag) :] == tag
