"""Texts that go in circles, told online by token ids alone.

Three signs, each far beyond what tables, lists, refrains and listings of code show:

- *exact*: the same tokens over and over, whatever the period;
- *near*: the same at one period but for a few tokens, as with a number that counts up;
- *stale*: hardly any run of tokens that has not been there shortly before, in whatever order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

_SHORT_GRAM = 4  # tokens: where the last one of these was tells a period to try
_LONG_GRAM = 8  # tokens: one that was there before is nothing new
_MOST_PERIODS = 6  # tried side by side
_SHARE_TOKENS = 128  # over which the share of agreeing tokens is averaged


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """When a text is called a loop. Counts are tokens, but for the repeats."""

    exact_tokens: int = 240  # that agree with those one period before, without a gap,
    exact_repeats: int = 4  # and so many periods of them
    near_tokens: int = 1536
    near_repeats: int = 12
    near_share: float = 0.9  # of agreeing tokens
    stale_tokens: int = 1536
    stale_share: float = 0.97  # of long runs seen within the last `memory_tokens`
    memory_tokens: int = 3072


class _Period:
    """How well a text agrees with itself one period earlier."""

    __slots__ = ("exact", "near", "share")

    def __init__(self) -> None:
        self.exact = _SHORT_GRAM
        self.near = _SHORT_GRAM
        self.share = 1.0


class LoopDetector:
    """Follows one sequence. A few microseconds a token, whatever has come before."""

    def __init__(self, guard: LoopGuard) -> None:
        self._guard = guard
        self.restart()

    def restart(self) -> None:
        """Forgets all that has come."""
        self._ids: list[int] = []
        self._last_short: dict[tuple[int, ...], int] = {}
        self._last_long: dict[tuple[int, ...], int] = {}
        self._periods: dict[int, _Period] = {}
        self._is_stale: deque[bool] = deque(maxlen=self._guard.stale_tokens)
        self._num_stale = 0

    def fork(self, extra_ids: Iterable[int]) -> LoopDetector:
        """One for a sequence that goes on from here."""
        fork = copy(self)
        fork._ids = self._ids.copy()
        fork._last_short, fork._last_long = self._last_short.copy(), self._last_long.copy()
        fork._periods = {p: copy(period) for p, period in self._periods.items()}
        fork._is_stale = self._is_stale.copy()
        for token_id in extra_ids:
            fork.push(token_id)
        return fork

    def push(self, token_id: int) -> bool:
        """Whether the text with this token is a loop."""
        self._ids.append(token_id)
        found = self._follow_periods(token_id)
        self._try_another_period()
        return self._has_gone_stale() or found

    def _follow_periods(self, token_id: int) -> bool:
        guard, ids = self._guard, self._ids
        last = len(ids) - 1
        found = False
        dropped = []
        for length, period in self._periods.items():
            agrees = ids[last - length] == token_id
            period.share += (agrees - period.share) / _SHARE_TOKENS
            period.exact = period.exact + 1 if agrees else 0
            period.near += 1
            if period.share < guard.near_share:
                period.near = 0
                if not period.exact:
                    dropped.append(length)
            found = found or (
                period.exact >= max(guard.exact_tokens, guard.exact_repeats * length)
                or period.near >= max(guard.near_tokens, guard.near_repeats * length)
            )
        for length in dropped:
            del self._periods[length]
        return found

    def _try_another_period(self) -> None:
        """Takes up the distance to where the latest tokens were last, for the weakest known."""
        gram = tuple(self._ids[-_SHORT_GRAM:])
        if len(gram) < _SHORT_GRAM:
            return
        last = len(self._ids) - 1
        before = self._last_short.get(gram)
        self._last_short[gram] = last
        if before is None or last - before in self._periods:
            return
        if len(self._periods) == _MOST_PERIODS:
            weakest = min(self._periods, key=lambda p: self._periods[p].near)
            del self._periods[weakest]
        self._periods[last - before] = _Period()

    def _has_gone_stale(self) -> bool:
        guard = self._guard
        gram = tuple(self._ids[-_LONG_GRAM:])
        if len(gram) < _LONG_GRAM:
            return False
        last = len(self._ids) - 1
        before = self._last_long.get(gram)
        self._last_long[gram] = last
        is_stale = before is not None and last - before <= guard.memory_tokens
        if len(self._is_stale) == guard.stale_tokens:
            self._num_stale -= self._is_stale[0]
        self._is_stale.append(is_stale)
        self._num_stale += is_stale
        return self._num_stale >= guard.stale_share * guard.stale_tokens
