"""Answers that follow a JSON schema: which tokens may come next, told by llguidance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from stillhouse.errors import UsageError
from stillhouse.text.tokenizer import Tokenizer

# No white space that is not needed: small models would fill an answer with it.
_LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class JsonConstraint:
    """Follows one answer. No special token is ever allowed, a stop id only where it may end."""

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def fork(self) -> JsonConstraint:
        """The same for another answer that goes on from here."""
        return JsonConstraint(self._matcher.deep_copy(), self._vocab_size)

    def allowed(self) -> NDArray[np.bool_]:
        """(vocab,): which tokens may come next; the caller's to change."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, bitorder="little")[: self._vocab_size].astype(np.bool_)

    def push(self, token_id: int) -> None:
        """Takes an allowed token."""
        taken = self._matcher.consume_token(token_id)
        assert taken, self._matcher.get_error()


class JsonConstraints:
    """Makes constraints for one vocabulary; threads may share it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = Lock()

    def for_schema(self, schema: Mapping[str, Any]) -> JsonConstraint:
        """Raises UsageError for what is no JSON schema, or uses what cannot be enforced."""
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_LAYOUT)
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"the JSON schema cannot be read: {_line(error)}") from error
        with self._lock:
            vocabulary = self._vocabulary
        matcher = LLMatcher(vocabulary, grammar, log_level=0)
        if matcher.is_error():
            raise UsageError(
                f"the JSON schema cannot be followed: {_line(matcher.get_error())}",
                hint="leave out what is not supported, and check the answer yourself",
            )
        return JsonConstraint(matcher, self._tokenizer.vocab_size)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        """Takes about a second for 150,000 tokens, once."""
        stop_ids = sorted(self._tokenizer.stop_ids)
        return LLTokenizer(_Vocabulary(self._tokenizer), eos_token=stop_ids)  # type: ignore[arg-type]


class _Vocabulary:
    """A tokenizer with the names that llguidance reads."""

    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        ids = range(tokenizer.vocab_size)
        self.eos_token_id = tokenizer.eos_id
        self.bos_token_id = tokenizer.bos_id
        self.tokens: Sequence[bytes] = [tokenizer.token_bytes(i) for i in ids]
        self.special_token_ids: Sequence[int] = sorted(
            {*tokenizer.special_ids.values(), *filter(tokenizer.is_control, ids)}
        )
        self._encode = tokenizer.encode

    def __call__(self, text: bytes | str) -> list[int]:
        if isinstance(text, bytes):
            text = text.decode("utf-8", errors="replace")
        return self._encode(text)


def _line(error: object) -> str:
    """The first line of what llguidance says, which may be long."""
    return (str(error).splitlines() or [""])[0][:300]
