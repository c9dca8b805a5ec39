"""Texts that end an answer, however the tokens cut them."""

from __future__ import annotations

from collections.abc import Iterable

from stillhouse.errors import UsageError


class StopStrings:
    """Text goes in in pieces and comes out up to the first stop string, which is not part of it.

    The first is the one that is whole first. What may still become one is held back. `found` tells
    that the answer has ended.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        """Raises UsageError for an empty one, which would end every answer at once."""
        self._stops = tuple(stops)
        if "" in self._stops:
            raise UsageError("a stop string is empty")
        self._held = ""
        self.found = False
        self.dropped_chars = 0  # the stop string that was found, and what came after it

    @property
    def held_chars(self) -> int:
        """Characters that are held back by now."""
        return len(self._held)

    def push(self, text: str) -> str:
        """What is surely before any stop string."""
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.found = True
            _, start = min(found)
            sure, rest, self._held = self._held[:start], self._held[start:], ""
            self.dropped_chars = len(rest)
            return sure
        keep = self._length_of_beginning()
        sure, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return sure

    def finish(self) -> str:
        """What was held back for a stop string that never came whole."""
        rest, self._held = self._held, ""
        return rest

    def _length_of_beginning(self) -> int:
        """The longest end of the held text that begins a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
