"""Thoughts kept apart from answers, while the tokens come.

Templates open a thought, models do, or nobody does; so the splitter starts from the ids of the rendered prompt and
needs no setting. A text's own <think>, anywhere but first, is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from stillhouse.text.detokenizer import Detokenizer
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG
from stillhouse.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text that belongs wholly to the thought or wholly to the answer; never empty."""

    kind: Literal["reasoning", "answer"]
    text: str


class _Place(Enum):
    START = auto()  # nothing but white space so far: a thought may still open
    THOUGHT = auto()
    ANSWER = auto()


class ReasoningSplitter:
    """Ids in, deltas out. The joined text of each kind does not depend on when ``push`` was called.

    Where a tag is one token, that id alone moves the splitter; else its text does, over any number of tokens.
    The tags that open and close the thought are never emitted, nor are the newlines next to them.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._open_id = tokenizer.token_id(OPEN_TAG)
        self._close_id = tokenizer.token_id(CLOSE_TAG)
        tail = self._last_turn(prompt_ids)
        is_open = tail.rfind(OPEN_TAG) > tail.rfind(CLOSE_TAG)
        self._place = _Place.THOUGHT if is_open else _Place.START
        self._trims_newlines = is_open or tail.rstrip().endswith(CLOSE_TAG)
        self._held = (
            ""  # text that may still turn out to be part of a tag, or the newlines before one
        )
        self._tokens = 0
        self.reasoning_tokens = 0

    @property
    def in_thought(self) -> bool:
        """Whether the next token continues a thought."""
        return self._place is _Place.THOUGHT

    @property
    def answer_tokens(self) -> int:
        """Tokens pushed that belong to no thought; a thought's tags count as reasoning."""
        return self._tokens - self.reasoning_tokens

    @property
    def close_ids(self) -> list[int]:
        """What ends a thought when it is put in the model's mouth."""
        if self._close_id is None:
            return self._tokenizer.encode(f"\n{CLOSE_TAG}\n\n")
        return [self._close_id, *self._tokenizer.encode("\n\n")]

    def push(self, token_id: int) -> list[Delta]:
        """What this token adds: nothing, one delta, or the thought's end and the answer's start."""
        self._tokens += 1
        if self._place is _Place.THOUGHT:
            self.reasoning_tokens += 1
        if token_id not in (self._open_id, self._close_id):
            return self._take(self._detokenizer.push(token_id))
        deltas = self._take(self._detokenizer.finish())
        if token_id == self._open_id and self._place is _Place.START:
            self._open("")
        elif token_id == self._close_id and self._place is _Place.THOUGHT:
            self._close("")
        else:
            deltas += self._take(self._detokenizer.push(token_id))
        return deltas

    def finish(self) -> list[Delta]:
        """What was held back for a tag that never came whole."""
        deltas = self._take(self._detokenizer.finish())
        rest, self._held = self._held, ""
        return deltas + self._delta(rest)

    def _take(self, text: str) -> list[Delta]:
        self._held += text
        deltas: list[Delta] = []
        if self._place is _Place.START:
            self._leave_start()
        if self._place is _Place.THOUGHT:
            deltas += self._thought_so_far()
        if self._place is _Place.ANSWER:
            rest, self._held = self._held, ""
            deltas += self._delta(rest)
        return deltas

    def _leave_start(self) -> None:
        """Opens the thought or begins the answer, once what is held tells which."""
        text = self._held.lstrip()
        by_text = self._open_id is None
        if by_text and text.startswith(OPEN_TAG):
            self._open(text.removeprefix(OPEN_TAG))
        elif text and not (by_text and OPEN_TAG.startswith(text)):
            self._place = _Place.ANSWER

    def _thought_so_far(self) -> list[Delta]:
        """All of the thought that is certain; closes it if its tag is there."""
        partial_tag = ""
        if self._close_id is None:
            thought, tag, answer = self._held.partition(CLOSE_TAG)
            if tag:
                deltas = self._delta(thought.rstrip("\n"))
                self._close(answer)
                return deltas
            partial_tag = _start_of_tag_at_end(self._held)
        certain = self._held.removesuffix(partial_tag).rstrip("\n")
        self._held = self._held[len(certain) :]
        return self._delta(certain)

    def _open(self, thought: str) -> None:
        self._place, self._held, self._trims_newlines = _Place.THOUGHT, thought, True
        self.reasoning_tokens = self._tokens

    def _close(self, answer: str) -> None:
        self._place, self._held, self._trims_newlines = _Place.ANSWER, answer, True

    def _delta(self, text: str) -> list[Delta]:
        if self._trims_newlines:
            text = text.lstrip("\n")
            self._trims_newlines = not text
        if not text:
            return []
        return [Delta("reasoning" if self._place is _Place.THOUGHT else "answer", text)]

    def _last_turn(self, prompt_ids: Sequence[int]) -> str:
        """The prompt's text after its last control token that is not a tag: the template's own, never a user's."""
        tags = (self._open_id, self._close_id)
        start = len(prompt_ids)
        while start and (
            prompt_ids[start - 1] in tags or not self._tokenizer.is_control(prompt_ids[start - 1])
        ):
            start -= 1
        return self._tokenizer.decode(prompt_ids[start:])


def _start_of_tag_at_end(text: str) -> str:
    """The longest beginning of </think>, short of the whole, that the text ends with."""
    return next(
        CLOSE_TAG[:n] for n in range(len(CLOSE_TAG) - 1, -1, -1) if text.endswith(CLOSE_TAG[:n])
    )
