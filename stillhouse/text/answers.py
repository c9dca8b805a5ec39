"""What is made of an answer's text before anybody sees it: stop strings end it, calls leave it."""

from __future__ import annotations

from stillhouse.text.pieces import ToolCall
from stillhouse.text.stop_strings import StopStrings
from stillhouse.text.tool_calls import ToolCallReader


class AnswerReader:
    """Text in, text and calls out. A call's own text is never given out as text."""

    def __init__(self, stops: StopStrings, calls: ToolCallReader | None = None) -> None:
        self._stops = stops
        self._calls = calls
        self._num_chars = 0

    @property
    def has_ended(self) -> bool:
        """A stop string has come: nothing after it counts."""
        return self._stops.found

    @property
    def settled_chars(self) -> int:
        """So many characters of what was pushed have been given out, or are part of a call."""
        held = self._stops.held_chars + (self._calls.held_chars if self._calls else 0)
        return self._num_chars - held

    def push(self, text: str) -> list[str | ToolCall]:
        """What is certain by now; never an empty text."""
        self._num_chars += len(text)
        sure = self._stops.push(text)
        if not self._stops.found:
            return self._read(sure)
        self._num_chars -= self._stops.dropped_chars
        return [*self._read(sure), *self._finish_calls()]

    def finish(self) -> list[str | ToolCall]:
        """What was held back for something that never came whole."""
        return [*self._read(self._stops.finish()), *self._finish_calls()]

    def _read(self, text: str) -> list[str | ToolCall]:
        if self._calls is not None:
            return self._calls.push(text)
        return [text] if text else []

    def _finish_calls(self) -> list[str | ToolCall]:
        return [] if self._calls is None else self._calls.finish()
