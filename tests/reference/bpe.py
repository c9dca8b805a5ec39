"""A naive byte-level BPE, without regexes, heaps or caches: what the fast one must equal."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from itertools import pairwise

Cut = Callable[[str], list[str]]

# Unicode's White_Space; str.isspace has four separators more.
_SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def encode(
    text: str,
    ids: Mapping[str, int],
    ranks: Mapping[tuple[str, str], int],
    cut: Cut,
    *,
    whole_words: bool = False,
) -> list[int]:
    """``ids`` by token, ``ranks`` by pair, both in the byte-level alphabet; rank 0 goes first.

    A byte that the vocabulary lacks vanishes before the merges (SmolLM2 has no U+0016, for one).
    """
    found: list[int] = []
    for piece in cut(text):
        symbols = [symbol for symbol in map(letter, piece.encode()) if symbol in ids]
        if whole_words and "".join(symbols) in ids:
            symbols = ["".join(symbols)]
        else:
            merge(symbols, ranks)
        found += [ids[symbol] for symbol in symbols]
    return found


def merge(symbols: list[str], ranks: Mapping[tuple[str, str], int]) -> None:
    """Joins, in place, the strongest neighbours (the first of equals) until none may be joined."""
    while True:
        pairs = [(ranks[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in ranks]
        if not pairs:
            return
        _, i = min(pairs)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]


def letter(byte: int) -> str:
    """GPT-2's stand-in for a byte: itself, or for one that does not print, one from U+0100 on."""
    if byte <= 32:
        return chr(0x100 + byte)
    if 127 <= byte <= 160:
        return chr(0x100 + 33 + byte - 127)
    return chr(0x100 + 33 + 34) if byte == 173 else chr(byte)


def cut_qwen2(text: str) -> list[str]:
    return _cut_gpt4(text, max_digits=1)


def cut_llama3(text: str) -> list[str]:
    return _cut_gpt4(text, max_digits=3)


def cut_smollm(text: str) -> list[str]:
    """Every digit alone; what lies between, as GPT-2 cuts it."""
    pieces: list[str] = []
    between = ""
    for character in text:
        if _is_number(character):
            pieces += [*_cut_gpt2(between), character]
            between = ""
        else:
            between += character
    return pieces + _cut_gpt2(between)


def _cut_gpt4(text: str, max_digits: int) -> list[str]:
    def end_of_piece(i: int) -> int:
        length = _contraction(text[i : i + 3].translate(_ASCII_LOWER))
        if length:
            return i + length
        starts_with_other = text[i] not in "\r\n" and not _is_letter_or_number(text[i])
        word = _run(text, i + starts_with_other, _is_letter)
        if word > i + starts_with_other:
            return word
        digits = _run(text, i, _is_number)
        if digits > i:
            return min(digits, i + max_digits)
        after_space = i + (text[i] == " ")
        marks = _run(text, after_space, _is_mark)
        if marks > after_space:
            return _run(text, marks, "\r\n".__contains__)
        spaces = _run(text, i, _SPACES.__contains__)
        last_newline = max(text.rfind("\r", i, spaces), text.rfind("\n", i, spaces))
        return last_newline + 1 if last_newline >= 0 else _spaces_before_word(text, i, spaces)

    return _pieces(text, end_of_piece)


def _cut_gpt2(text: str) -> list[str]:
    def end_of_piece(i: int) -> int:
        length = _contraction(text[i : i + 3])
        if length:
            return i + length
        after_space = i + (text[i] == " ")
        for is_one in (_is_letter, _is_number, _is_mark):
            end = _run(text, after_space, is_one)
            if end > after_space:
                return end
        return _spaces_before_word(text, i, _run(text, i, _SPACES.__contains__))

    return _pieces(text, end_of_piece)


def _pieces(text: str, end_of_piece: Callable[[int], int]) -> list[str]:
    pieces, i = [], 0
    while i < len(text):
        end = end_of_piece(i)
        pieces.append(text[i:end])
        i = end
    return pieces


def _contraction(text: str) -> int:
    """How many characters of the text are 's, 't, 're, 've, 'm, 'll or 'd."""
    if text[:2] in ("'s", "'t", "'m", "'d"):
        return 2
    return 3 if text in ("'re", "'ve", "'ll") else 0


def _spaces_before_word(text: str, start: int, end: int) -> int:
    """White space before a word leaves its last character to the word."""
    return end - 1 if end < len(text) and end - start > 1 else end


def _run(text: str, i: int, is_one: Callable[[str], bool]) -> int:
    while i < len(text) and is_one(text[i]):
        i += 1
    return i


def _is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L")


def _is_number(character: str) -> bool:
    return unicodedata.category(character).startswith("N")


def _is_letter_or_number(character: str) -> bool:
    return _is_letter(character) or _is_number(character)


def _is_mark(character: str) -> bool:
    return not _is_letter_or_number(character) and character not in _SPACES


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
