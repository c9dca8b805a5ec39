"""Text from tokens as they come, never half a character."""

from __future__ import annotations

import codecs

from stillhouse.text.tokenizer import Tokenizer


class Detokenizer:
    """All that ``push`` and ``finish`` return is together ``decode(ids, skip_special=True)``.

    A token may hold only a part of a character; that part waits for the rest.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def fork(self) -> Detokenizer:
        """One for other tokens after the same beginning."""
        fork = Detokenizer(self._tokenizer)
        fork._decoder.setstate(self._decoder.getstate())
        return fork

    def push(self, token_id: int) -> str:
        """The characters that this token completes; bytes that can never become one are U+FFFD."""
        if self._tokenizer.is_control(token_id):
            return ""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """U+FFFD for a character that never came whole, else nothing."""
        return self._decoder.decode(b"", final=True)
