"""Thoughts told from answers in text alone, for servers that leave `<think>` in what they send.

The tag that opens a thought may be missing, because the template had opened it: then everything
before `</think>` turns out to have been thought after it was given as answer.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG

Kind = Literal["reasoning", "answer"]


class _Place(Enum):
    START = auto()  # nothing but white space so far: a tag may still open a thought
    THOUGHT = auto()
    UNSURE = auto()  # an answer, unless a thought is closed that nobody saw opened
    ANSWER = auto()


class InlineThoughts:
    """Texts in, (kind, text) out. `reasoning` and `answer` are the same however the text is cut.

    Tags are never part of either, nor the newlines next to them; a tag after the first thought is
    text like any other.
    """

    __slots__ = ("_answer", "_held", "_place", "_reasoning", "_trims_newlines", "is_closed")

    def __init__(self) -> None:
        self.is_closed = False  # a thought was, by its tag
        self._place = _Place.START
        self._held = ""  # may still turn out to be part of a tag, or the newlines before one
        self._trims_newlines = False
        self._reasoning: list[str] = []
        self._answer: list[str] = []

    @property
    def in_thought(self) -> bool:
        """Whether a tag has opened a thought that is not closed."""
        return self._place is _Place.THOUGHT

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def answer(self) -> str:
        return "".join(self._answer)

    def push(self, text: str) -> list[tuple[Kind, str]]:
        """What is sure by now of this and of what was held back."""
        if self._place is _Place.ANSWER or (
            self._place is _Place.UNSURE and not self._held and "<" not in text
        ):
            if self._trims_newlines:
                return self._give("answer", text)
            self._answer.append(text)  # nearly all texts come here
            return [("answer", text)]
        text, self._held = self._held + text, ""
        given: list[tuple[Kind, str]] = []
        if self._place is _Place.START:
            text = self._leave_start(text)
        if text:
            text, given = self._before_close(text)
        if text:  # of the answer
            given += self._give("answer", text)
        return given

    def verbatim(self) -> list[tuple[Kind, str]]:
        """From here on all is answer: the server keeps thoughts apart."""
        given = self.finish()
        self._place, self._trims_newlines = _Place.ANSWER, False
        return given

    def finish(self) -> list[tuple[Kind, str]]:
        """What was held back for a tag that never came whole."""
        text, self._held = self._held, ""
        kind: Kind = "reasoning" if self.in_thought else "answer"
        return self._give(kind, text) if text else []

    def _leave_start(self, text: str) -> str:
        begun = text.lstrip()
        if begun.startswith(OPEN_TAG):
            self._place, self._trims_newlines = _Place.THOUGHT, True
            return begun[len(OPEN_TAG) :]
        if not begun or OPEN_TAG.startswith(begun):
            self._held = text
            return ""
        self._place = _Place.UNSURE
        return text

    def _before_close(self, text: str) -> tuple[str, list[tuple[Kind, str]]]:
        """What follows the closing tag, or "" while there is none; and what is sure before it."""
        in_thought = self.in_thought
        before, tag, after = text.partition(CLOSE_TAG)
        if not in_thought and OPEN_TAG in before:
            self._place = _Place.ANSWER  # it speaks of tags: they come in pairs
            return text, []
        if tag:
            if not in_thought:  # all of it was thought
                self._reasoning, self._answer = [("".join(self._answer) + before).strip("\n")], []
                given: list[tuple[Kind, str]] = [("reasoning", before)] if before else []
            else:
                given = self._give("reasoning", before.rstrip("\n"))
            self._place, self._trims_newlines, self.is_closed = _Place.ANSWER, True, True
            return after, given
        sure = text[: _start_of_tag(text)]
        if in_thought:
            sure = sure.rstrip("\n")
        self._held = text[len(sure) :]
        return "", self._give("reasoning" if in_thought else "answer", sure)

    def _give(self, kind: Kind, text: str) -> list[tuple[Kind, str]]:
        if self._trims_newlines:
            text = text.lstrip("\n")
            self._trims_newlines = not text
        if not text:
            return []
        (self._reasoning if kind == "reasoning" else self._answer).append(text)
        return [(kind, text)]


def _start_of_tag(text: str) -> int:
    """Where a tag begins that the text's end cuts off; its length where none does."""
    at = text.rfind("<", -len(CLOSE_TAG) + 1)
    return at if at >= 0 and (text[at:] in CLOSE_TAG or text[at:] in OPEN_TAG) else len(text)
