"""Thoughts kept apart from answers, while the tokens come.

Templates open a thought, models do, or nobody does; so the splitter starts from the ids of the
rendered prompt and needs no setting. A <think> anywhere but first is text like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from enum import Enum, auto

from stillhouse.text.detokenizer import Detokenizer
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG
from stillhouse.text.pieces import Delta
from stillhouse.text.tokenizer import Tokenizer


class _Place(Enum):
    START = auto()  # nothing but white space so far: a tag may still open the thought
    THOUGHT = auto()
    ANSWER = auto()


class Verbatim:
    """For prompts that are gone on from as they are: all is answer, as it comes."""

    in_thought = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._detokenizer = Detokenizer(tokenizer)

    def fork(self) -> Verbatim:
        """One for other tokens after the same beginning."""
        fork = copy(self)
        fork._detokenizer = self._detokenizer.fork()
        return fork

    def push(self, token_id: int) -> list[Delta]:
        """What this token adds."""
        return self._delta(self._detokenizer.push(token_id))

    def finish(self) -> list[Delta]:
        """What was held back."""
        return self._delta(self._detokenizer.finish())

    @staticmethod
    def _delta(text: str) -> list[Delta]:
        return [Delta("answer", text)] if text else []


class ReasoningSplitter:
    """Ids in, deltas out. The joined text of each kind is the same however the ids come.

    Where a tag is one token, that id alone moves the splitter; else its text does, over any number
    of tokens. The tags that open and close the thought are never emitted, nor the newlines next to
    them.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._open_id = tokenizer.special_ids.get(OPEN_TAG)
        self._close_id = tokenizer.special_ids.get(CLOSE_TAG)
        turn = self._last_turn(prompt_ids)
        self._prompt_opened = turn.rfind(OPEN_TAG) > turn.rfind(CLOSE_TAG)
        self._trims_newlines = self._prompt_opened or turn.rstrip().endswith(CLOSE_TAG)
        self._place = _Place.START
        self._held = ""  # may still turn out to be part of a tag, or the newlines before one

    @property
    def in_thought(self) -> bool:
        """Whether the next token continues a thought."""
        return self._place is _Place.THOUGHT or (
            self._place is _Place.START and self._prompt_opened
        )

    @property
    def close_ids(self) -> list[int]:
        """What ends a thought when it is put in the model's mouth."""
        if self._close_id is None:
            return self._tokenizer.encode(f"\n{CLOSE_TAG}\n\n")
        return [self._close_id, *self._tokenizer.encode("\n\n")]

    def fork(self) -> ReasoningSplitter:
        """One for other tokens after the same beginning."""
        fork = copy(self)
        fork._detokenizer = self._detokenizer.fork()
        return fork

    def push(self, token_id: int) -> list[Delta]:
        """What this token adds: nothing, one delta, or a thought's end and an answer's start."""
        if token_id not in (self._open_id, self._close_id):
            return self._take(self._detokenizer.push(token_id))
        deltas = self._take(self._detokenizer.finish())
        if token_id == self._open_id and self._place is _Place.START:
            self._open("")
        elif token_id == self._close_id and self.in_thought:
            deltas += self._delta(self._held.rstrip("\n"))
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
            deltas += self._certain_thought()
        if self._place is _Place.ANSWER:
            answer, self._held = self._held, ""
            deltas += self._delta(answer)
        return deltas

    def _leave_start(self) -> None:
        """Opens the thought or begins the answer, once what is held tells which.

        A prompt may have opened the thought already; a model that opens it again is forgiven.
        """
        text = self._held.lstrip()
        by_text = self._open_id is None
        if by_text and text.startswith(OPEN_TAG):
            self._open(text.removeprefix(OPEN_TAG))
        elif text and not (by_text and OPEN_TAG.startswith(text)):
            self._place = _Place.THOUGHT if self._prompt_opened else _Place.ANSWER

    def _certain_thought(self) -> list[Delta]:
        """Takes from what is held all that is surely thought; closes it if its tag is there."""
        tag = ""
        if self._close_id is None:
            thought, tag, answer = self._held.partition(CLOSE_TAG)
            if tag:
                deltas = self._delta(thought.rstrip("\n"))
                self._close(answer)
                return deltas
            tag = _start_of_tag_at_end(self._held)
        thought = self._held.removesuffix(tag).rstrip("\n")
        self._held = self._held[len(thought) :]
        return self._delta(thought)

    def _open(self, thought: str) -> None:
        self._place, self._held, self._trims_newlines = _Place.THOUGHT, thought, True

    def _close(self, answer: str) -> None:
        self._place, self._held, self._trims_newlines = _Place.ANSWER, answer, True

    def _delta(self, text: str) -> list[Delta]:
        if self._trims_newlines:
            text = text.lstrip("\n")
            self._trims_newlines = not text
        if not text:
            return []
        return [Delta("reasoning" if self.in_thought else "answer", text)]

    def _last_turn(self, prompt_ids: Sequence[int]) -> str:
        """The prompt's text after its last control token, tags aside: the model's own turn."""
        tags = (self._open_id, self._close_id)
        start = len(prompt_ids)
        while start:
            last = prompt_ids[start - 1]
            if self._tokenizer.is_control(last) and last not in tags:
                break
            start -= 1
        return self._tokenizer.decode(prompt_ids[start:])


def _start_of_tag_at_end(text: str) -> str:
    """The longest beginning of </think>, short of the whole, that the text ends with."""
    starts = (CLOSE_TAG[:length] for length in range(len(CLOSE_TAG) - 1, 0, -1))
    return next((start for start in starts if text.endswith(start)), "")
