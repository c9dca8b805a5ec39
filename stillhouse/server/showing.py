"""Thoughts as a client wants to see them: apart, inside the text, or not at all."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.replies import Reply
from stillhouse.server.thinking import Thinking
from stillhouse.text import Delta

_OPEN, _CLOSE = "<think>\n", "\n</think>\n\n"


class Showing:
    """One sample's pieces, changed on their way out. Joined they say the same, streamed or not."""

    def __init__(self, thinking: Thinking) -> None:
        self._show = thinking.show
        self._is_streamed = thinking.is_streamed
        self._held = ""  # of a thought that is not streamed
        self._is_inside = False  # a thought that stands in the text has begun

    def push(self, delta: Delta) -> list[Delta]:
        """What is to be sent of a piece; a thought and an answer never in one."""
        if delta.kind == "reasoning":
            if self._show == "never":
                return []
            if not self._is_streamed:
                self._held += delta.text
                return []
            return [self._thought(delta.text)]
        shown = self.finish()
        if self._is_inside:
            self._is_inside = False
            shown.append(Delta("answer", _CLOSE))
        return [*shown, delta]

    def finish(self) -> list[Delta]:
        """What was held back."""
        held, self._held = self._held, ""
        return [self._thought(held)] if held else []

    def whole(self, reply: Reply) -> Reply:
        """A reply that was not streamed, with the same texts."""
        deltas: list[Delta] = []
        if reply.reasoning:
            deltas += self.push(Delta("reasoning", reply.reasoning))
        if reply.answer:
            deltas += self.push(Delta("answer", reply.answer))
        if reply.tool_calls:
            deltas += self.push(Delta("tool_calls", "", (), reply.tool_calls))
        deltas += self.finish()
        return replace(
            reply,
            reasoning="".join(d.text for d in deltas if d.kind == "reasoning"),
            answer="".join(d.text for d in deltas if d.kind == "answer"),
        )

    def _thought(self, text: str) -> Delta:
        if self._show == "apart":
            return Delta("reasoning", text)
        opening = "" if self._is_inside else _OPEN
        self._is_inside = True
        return Delta("answer", opening + text)
