"""Text to token ids and back, from what a GGUF file says about its vocabulary.

Byte-level BPE only: the R1 family, its teachers and SmolLM2 use nothing else. The one rule: text that merely looks
like a special token becomes one only where the caller says ``special=True``; what a user typed never does.
No Unicode normalisation is done, so ``decode(encode(text)) == text``; llama.cpp does the same, while the published
tokenizer.json of Qwen composes accents (NFC) first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers

from stillhouse.errors import BadCheckpoint
from stillhouse.text.pretokenizers import PreTokenizer, pre_tokenizer


class TokenKind(IntEnum):
    """What ``tokenizer.ggml.token_type`` says of a token (GGUF's own numbers)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


# Ends of a turn that files forget to name: they stop an answer wherever they are control tokens.
_TURN_ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<｜end▁of▁sentence｜>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
)


class Tokenizer:
    """One model's vocabulary; immutable, and safe to share between threads."""

    def __init__(
        self,
        tokens: Sequence[str],
        merges: Sequence[str],
        kinds: Sequence[int],
        cuts: PreTokenizer,
        *,
        bos_id: int | None,
        eos_id: int,
        end_ids: Iterable[int] = (),
        add_bos: bool = False,
    ) -> None:
        """``tokens``, in the byte-level alphabet, and ``kinds`` are indexed by id; a merge is "left right"."""
        self.vocab_size = len(tokens)
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.add_bos = add_bos
        self._tokens = tokens
        kind_of = np.asarray(kinds)
        rare = [int(i) for i in np.flatnonzero(kind_of != TokenKind.NORMAL)]
        self._rare_kinds = {i: int(kind_of[i]) for i in rare}
        self._special_ids = {tokens[i]: i for i in rare if tokens[i] and self._is_special(i)}
        self._special_pattern = _any_of(self._special_ids)
        self._ids = {token: i for i, token in enumerate(tokens)}
        ordinary = self._ids.copy()
        for i in rare:
            if i in self._special_ids.values() or self._rare_kinds[i] == TokenKind.UNUSED:
                ordinary.pop(tokens[i], None)
        self._bpe = _byte_level_bpe(ordinary, merges, cuts)
        self._bpe.add_tokens(
            [
                tokenizers.AddedToken(tokens[i], normalized=False)
                for i in rare
                if self._rare_kinds[i] == TokenKind.USER_DEFINED and tokens[i] in ordinary
            ]
        )
        self._byte_of = {character: byte for byte, character in enumerate(_byte_alphabet())}
        named = (self._special_ids.get(text) for text in _TURN_ENDS)
        self.stop_ids = frozenset(
            {eos_id, *end_ids, *(i for i in named if i is not None and self.is_control(i))}
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer that a GGUF file describes. Raises BadCheckpoint where it is missing, broken or not BPE."""
        kind = metadata.get("tokenizer.ggml.model")
        if kind != "gpt2":
            raise BadCheckpoint(
                f"the tokenizer is of the kind '{kind}'",
                hint="only byte-level BPE ('gpt2') is read: the R1 family, Qwen, Llama 3, SmolLM2",
            )
        tokens = _strings(metadata, "tokens")
        merges = _strings(metadata, "merges")
        kinds = metadata.get("tokenizer.ggml.token_type")
        if kinds is None:
            kinds = [TokenKind.NORMAL] * len(tokens)
        if len(kinds) != len(tokens):
            raise BadCheckpoint(f"{len(tokens)} tokens have {len(kinds)} token types")
        cuts = pre_tokenizer(str(metadata.get("tokenizer.ggml.pre", "default")))
        named = {
            name: _named_id(metadata, name, len(tokens)) for name in ("bos", "eos", "eot", "eom")
        }
        if named["eos"] is None:
            raise BadCheckpoint("the file names no end-of-text token (tokenizer.ggml.eos_token_id)")
        return cls(
            tokens,
            merges,
            kinds,
            cuts,
            bos_id=named["bos"],
            eos_id=named["eos"],
            end_ids=[i for name in ("eot", "eom") if (i := named[name]) is not None],
            add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", cuts.add_bos)),
        )

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """``special=False`` keeps text that looks like a special token text. BOS is never added here."""
        if not special:
            return self._encode_ordinary(text)
        ids: list[int] = []
        for part in self.split_special(text):
            ids += [part] if isinstance(part, int) else self._encode_ordinary(part)
        return ids

    def split_special(self, text: str) -> list[str | int]:
        """The text cut at its special tokens, which appear as ids: leftmost first, the longest where several start."""
        if self._special_pattern is None:
            return [text] if text else []
        parts = self._special_pattern.split(text)  # text, special, text, special, ..., text
        return [self._special_ids[part] if k % 2 else part for k, part in enumerate(parts) if part]

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """Bytes that are not UTF-8 become U+FFFD; ``skip_special`` leaves control tokens out."""
        pieces = (self.token_bytes(i) for i in ids if not (skip_special and self.is_control(i)))
        return b"".join(pieces).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """What one token adds to the text; it may end in the middle of a character."""
        token = self._tokens[token_id]
        kind = self._rare_kinds.get(token_id, TokenKind.NORMAL)
        if kind == TokenKind.NORMAL:
            try:
                return bytes(self._byte_of[character] for character in token)
            except (
                KeyError
            ):  # not in the byte-level alphabet: a special token that the file calls normal
                return token.encode("utf-8", errors="replace")
        if kind == TokenKind.UNUSED:
            return b""
        if kind == TokenKind.BYTE and re.fullmatch("<0x[0-9A-Fa-f]{2}>", token):
            return bytes.fromhex(token[3:5])
        return token.encode("utf-8", errors="replace")

    def token_text(self, token_id: int) -> str:
        """One token on its own, as text."""
        return self.token_bytes(token_id).decode("utf-8", errors="replace")

    def token_id(self, text: str) -> int | None:
        """The id of the token with exactly this text, special or in the byte-level alphabet; None if there is none."""
        return self._ids.get(text)

    def is_control(self, token_id: int) -> bool:
        """Whether the token steers the model and is no part of the text that people read."""
        return self._rare_kinds.get(token_id) == TokenKind.CONTROL

    @property
    def special_texts(self) -> Iterable[str]:
        """The texts that ``special=True`` recognises."""
        return self._special_ids.keys()

    def _is_special(self, token_id: int) -> bool:
        """Control tokens, and the tags that files call user-defined (<think>, <tool_call>).

        Other user-defined tokens are plain vocabulary (DeepSeek has some single letters) and always match.
        """
        kind, text = self._rare_kinds[token_id], self._tokens[token_id]
        is_tag = text.startswith("<") and text.endswith(">")
        return kind == TokenKind.CONTROL or (kind == TokenKind.USER_DEFINED and is_tag)

    def _encode_ordinary(self, text: str) -> list[int]:
        try:
            return self._bpe.encode(text, add_special_tokens=False).ids
        except (
            UnicodeEncodeError
        ):  # lone surrogates: a terminal passes undecodable bytes on as these
            return self._encode_ordinary(text.encode("utf-8", errors="replace").decode("utf-8"))


def _byte_level_bpe(
    vocabulary: dict[str, int], merges: Sequence[str], cuts: PreTokenizer
) -> tokenizers.Tokenizer:
    pairs = [tuple(merge.split(" ")) for merge in merges]
    if any(len(pair) != 2 for pair in pairs):
        raise BadCheckpoint("a merge of the tokenizer is not two tokens with a space between")
    try:
        model = models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=cuts.whole_words)
    except Exception as error:  # the library raises nothing more specific
        raise BadCheckpoint(f"the tokenizer's merges do not fit its tokens: {error}") from error
    bpe = tokenizers.Tokenizer(model)
    splits = [
        pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
        for pattern in cuts.patterns
    ]
    bytes_to_letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*splits, bytes_to_letters])
    return bpe


def _byte_alphabet() -> list[str]:
    """GPT-2's letter for each byte 0..255: itself where it prints, else the next free one from U+0100 on."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    free = iter(range(0x100, 0x200))
    return [chr(byte if byte in prints else next(free)) for byte in range(256)]


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern with one group that matches any of the texts, the longest first."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None


def _strings(metadata: Mapping[str, Any], name: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{name}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadCheckpoint(f"the file holds no list of texts tokenizer.ggml.{name}")
    return values


def _named_id(metadata: Mapping[str, Any], name: str, vocab_size: int) -> int | None:
    value = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if value is None:
        return None
    if not 0 <= int(value) < vocab_size:
        raise BadCheckpoint(f"{name}_token_id is {value}, but there are {vocab_size} tokens")
    return int(value)
