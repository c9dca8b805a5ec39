"""Telling apart what a template wrote and what people wrote, through any template.

A special token in a rendered prompt must come from the template alone. So before rendering, in
every text that people wrote, each character that begins or ends some special token is replaced by a
stand-in: a private-use character that occurs nowhere else. In the rendered prompt no special token
can then begin or end in their text; once the prompt is cut at its special tokens, the stand-ins are
turned back. One character stands for one, and none of them is white space, so a template may strip,
slice, split, count, or turn to JSON what it is given. (Only a template that writes one half of a
special token before somebody's text and the other half after it could still make one; none does.)
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from stillhouse.errors import UsageError


class Marking:
    """Stand-ins for one prompt: ``mark`` before rendering, ``unmark`` on every text after it."""

    def __init__(self, special_texts: Iterable[str], written: Iterable[str]) -> None:
        """``written``: every text that the prompt is made of, the template's source too."""
        risky = {end for text in special_texts for end in (text[0], text[-1])}
        taken = set().union(*written)
        private = chain(range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
        unused = (chr(point) for point in private if chr(point) not in taken)
        stand_ins = dict(zip(sorted(risky), unused, strict=False))
        if len(stand_ins) < len(risky):
            raise UsageError("the messages use every private-use character of Unicode")
        self._mark = str.maketrans(stand_ins)
        self._unmark = str.maketrans({stand_in: plain for plain, stand_in in stand_ins.items()})

    def mark(self, value: Any) -> Any:
        """A text, or every text in lists and mappings; anything else as it is."""
        if isinstance(value, str):
            return value.translate(self._mark)
        if isinstance(value, dict):
            return {key: self.mark(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mark(item) for item in value]
        return value

    def unmark(self, text: str) -> str:
        return text.translate(self._unmark)
