"""Text to token ids and back, from what a checkpoint says about its vocabulary.

Byte-level BPE only: the R1 family, its teachers and SmolLM2 use nothing else. The one rule: text
that merely looks like a special token becomes one only where the caller says ``special=True``.

No Unicode normalisation is done, so decoding gives back the text that was encoded. llama.cpp does
the same; the tokenizer.json that Qwen publishes composes accents first (NFC).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import tokenizers
from tokenizers import models, pre_tokenizers

from stillhouse.errors import BadCheckpoint
from stillhouse.text.pretokenizers import PreTokenizer
from stillhouse.text.tokenizer_json import JSON_KEY, vocabulary_of_json
from stillhouse.text.vocabulary import TokenKind, vocabulary_of_gguf

# Ends of a turn that files forget to name: they stop an answer wherever they are control tokens.
_TURN_ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<｜end▁of▁sentence｜>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
)

# The full-size R1 has 815 special tokens; far more would make every search for them slow.
_MAX_SPECIAL = 10_000


class Tokenizer:
    """One model's vocabulary; never changes, so threads may share it.

    Attributes:
        vocab_size: ids are in [0, vocab_size).
        special_ids: the texts that ``special=True`` recognises: control tokens, and the tags that
            files call user-defined (<think>, <tool_call>).
        stop_ids: any of these ends an answer.
        add_bos: whether a prompt starts with ``bos_id``; ``encode`` itself never adds it.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        merges: Sequence[str],
        kinds: Mapping[int, int],
        cuts: PreTokenizer,
        *,
        bos_id: int | None,
        eos_id: int,
        end_ids: Iterable[int] = (),
        add_bos: bool = False,
    ) -> None:
        """Raises BadCheckpoint if the parts do not fit together.

        Args:
            tokens: by id, in the byte-level alphabet; other than normal ones as they read.
            merges: "left right", the first is the strongest.
            kinds: of the tokens that are not normal.
            cuts: the family's rule for cutting text before the merges.
            bos_id, eos_id, end_ids: begin of text, end of text, further ends of a turn.
            add_bos: whether a prompt starts with BOS.
        """
        self.vocab_size = len(tokens)
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.add_bos = add_bos
        self._tokens = tokens
        self._kinds = kinds
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._byte_of = {letter: byte for byte, letter in enumerate(_byte_alphabet())}

        self.special_ids = {tokens[i]: i for i in kinds if tokens[i] and self._is_special(i)}
        if len(self.special_ids) > _MAX_SPECIAL:
            raise BadCheckpoint(
                f"{len(self.special_ids)} special tokens; {_MAX_SPECIAL} are the limit"
            )
        self._special_pattern = _any_of(self.special_ids)
        named_ends = (self.special_ids[text] for text in _TURN_ENDS if text in self.special_ids)
        self.stop_ids = frozenset({eos_id, *end_ids, *filter(self.is_control, named_ends)})

        unspoken = {i for i, kind in kinds.items() if kind == TokenKind.UNUSED}
        unspoken.update(self.special_ids.values())
        ordinary = self._ids.copy()
        for i in unspoken:
            ordinary.pop(tokens[i], None)
        self._bpe = byte_level_bpe(ordinary, merges, cuts)
        # Some DeepSeek vocabularies have single letters here: plain text, matched before any merge.
        added = (tokens[i] for i in kinds if self._kind(i) == TokenKind.USER_DEFINED)
        self._bpe.add_tokens(
            [tokenizers.AddedToken(text, normalized=False) for text in added if text in ordinary]
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object]) -> Tokenizer:
        """The tokenizer of a checkpoint. Raises BadCheckpoint where it is missing or not read."""
        is_json = JSON_KEY in metadata and "tokenizer.ggml.model" not in metadata
        vocabulary = (vocabulary_of_json if is_json else vocabulary_of_gguf)(metadata)
        return cls(
            vocabulary.tokens,
            vocabulary.merges,
            vocabulary.kinds,
            vocabulary.cuts,
            bos_id=vocabulary.bos_id,
            eos_id=vocabulary.eos_id,
            end_ids=vocabulary.end_ids,
            add_bos=vocabulary.add_bos,
        )

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """With ``special=False`` a text that looks like a special token stays text."""
        if not special:
            return self._encode_ordinary(text)
        ids: list[int] = []
        for part in self.split_special(text):
            ids += [part] if isinstance(part, int) else self._encode_ordinary(part)
        return ids

    def split_special(self, text: str) -> list[str | int]:
        """The text cut at its special tokens, which come as ids: leftmost first, then longest."""
        if self._special_pattern is None:
            return [text] if text else []
        parts = self._special_pattern.split(text)  # text, special, text, special, ..., text
        return [self.special_ids[part] if k % 2 else part for k, part in enumerate(parts) if part]

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """Bytes that are not UTF-8 become U+FFFD; ``skip_special`` leaves control tokens out."""
        read = (i for i in ids if not (skip_special and self.is_control(i)))
        return b"".join(map(self.token_bytes, read)).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """What one token adds to the text; it may end in the middle of a character."""
        token, kind = self._tokens[token_id], self._kind(token_id)
        if kind == TokenKind.NORMAL and all(letter in self._byte_of for letter in token):
            return bytes(self._byte_of[letter] for letter in token)
        if kind == TokenKind.UNUSED:
            return b""
        if kind == TokenKind.BYTE and re.fullmatch("<0x[0-9A-Fa-f]{2}>", token):
            return bytes.fromhex(token[3:5])
        return token.encode("utf-8", errors="replace")

    def token_id(self, text: str) -> int | None:
        """The token that stands in the file as exactly this text, if there is one."""
        return self._ids.get(text)

    def is_control(self, token_id: int) -> bool:
        """Whether the token steers the model and is no part of the text that people read."""
        return self._kind(token_id) == TokenKind.CONTROL

    def _kind(self, token_id: int) -> int:
        return self._kinds.get(token_id, TokenKind.NORMAL)

    def _is_special(self, token_id: int) -> bool:
        kind, text = self._kind(token_id), self._tokens[token_id]
        is_tag = text.startswith("<") and text.endswith(">")
        return kind == TokenKind.CONTROL or (kind == TokenKind.USER_DEFINED and is_tag)

    def _encode_ordinary(self, text: str) -> list[int]:
        try:
            encoded = self._bpe.encode(text, add_special_tokens=False)
        except TypeError:  # lone surrogates: how a terminal passes on bytes that it cannot read
            readable = text.encode("utf-8", errors="replace").decode("utf-8")
            encoded = self._bpe.encode(readable, add_special_tokens=False)
        return encoded.ids


def byte_level_bpe(
    vocabulary: dict[str, int], merges: Sequence[str], cuts: PreTokenizer
) -> tokenizers.Tokenizer:
    pairs: list[tuple[str, str]] = []
    for merge in merges:
        left, space, right = merge.partition(" ")
        if not space or " " in right:
            raise BadCheckpoint(f"merge {len(pairs)} of its tokenizer is not 'left right'")
        pairs.append((left, right))
    try:
        model = models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=cuts.whole_words)
    except Exception as error:  # the library raises nothing more specific
        raise BadCheckpoint(f"its tokenizer's merges do not fit its tokens: {error}") from error
    bpe = tokenizers.Tokenizer(model)
    splits = [
        pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
        for pattern in cuts.patterns
    ]
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*splits, letters])
    return bpe


def _byte_alphabet() -> list[str]:
    """GPT-2's letter for each byte: itself where it prints, else the next from U+0100 on."""
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in prints else next(spare)) for byte in range(0x100)]


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern of one group that matches any of the texts, the longest first."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None
