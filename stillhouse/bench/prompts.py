"""What is asked: texts of a wanted number of tokens, or people's own.

Synthetic prompts are drawn from words that are one token each in every vocabulary of byte pairs
that has merged English text. What a server counts is then words plus its template, which is a
constant that the warm-up finds out. So every server gets the same texts, of the length it is said.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stillhouse.errors import UsageError

# The texts of questions in data sets: GSM8K, MATH, AIME, chats, completions.
_FIELDS = ("prompt", "question", "problem", "input", "text")

_WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have "
    "from or had an they which one you were all her she there would their we him been has when "
    "who will no more if out so up said what its about than into them can only other time new "
    "some could these two may first then do any like my now over such our man me even most made "
    "after also did many off before must well back through years much where your way down "
    "should because long each just state those people too mr how little good world make very "
    "year still see own work men day get here between both life being under three never know "
    "same last another while us might great go come since against right came take used himself "
    "few house use place during high without again home around small however found part school "
    "general once upon every water number course war until always away something fact less "
    "though public put head think called set almost end night second better young power side "
    "light line group name city side case field money change"
)


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Random words. The same seed and number give the same text; no two numbers begin alike."""

    seed: int

    def text(self, number: int, num_words: int, /) -> str:
        """At least one word."""
        chosen = random.Random(f"{self.seed}/{number}").choices(_WORDS.split(), k=num_words)
        return " ".join(chosen)


@dataclass(frozen=True, slots=True)
class FromFile:
    """People's own prompts, again from the first one when all were asked."""

    texts: tuple[str, ...]

    def text(self, number: int, _num_words: int, /) -> str:
        """The prompt of that number, however long."""
        return self.texts[number % len(self.texts)]


def read_prompts(path: Path) -> FromFile:
    """A prompt a line; of `.jsonl` the field `prompt`, `question`, `problem`, `input` or `text`.

    Raises UsageError where there is no such file, none in it, or a line that has no prompt.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if path.suffix == ".jsonl":
        texts = [_field(path, number, line) for number, line in numbered]
    else:
        texts = [line for _, line in numbered]
    if not texts:
        raise UsageError(f"{path} has no prompts", hint="one a line, or JSON lines with 'prompt'")
    return FromFile(tuple(texts))


def words_for(wanted_tokens: int, probes: Sequence[tuple[int, int]]) -> int:
    """How many words make a prompt of so many tokens, from two (words, tokens) that were counted.

    Raises UsageError where the template alone takes more.
    """
    (few, few_tokens), (many, many_tokens) = probes
    tokens_per_word = (many_tokens - few_tokens) / (many - few)
    if tokens_per_word <= 0:
        raise UsageError(
            f"the server counts {few_tokens} prompt tokens for {few} words and {many_tokens} for"
            f" {many}: it can't be asked for a length",
            hint="give --prompts FILE",
        )
    template_tokens = few_tokens - few * tokens_per_word
    words = round((wanted_tokens - template_tokens) / tokens_per_word)
    if words < 1:
        raise UsageError(
            f"the template alone takes {template_tokens:.0f} tokens, and {wanted_tokens} are asked"
            " for",
            hint=f"--prompt-tokens {round(template_tokens + tokens_per_word) + 1} or more",
        )
    return words


def _field(path: Path, number: int, line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}, is not JSON: {error}") from error
    for name in _FIELDS:
        if isinstance(entry, dict) and isinstance(entry.get(name), str) and entry[name].strip():
            return str(entry[name])
    raise UsageError(
        f"{path}, line {number}, has no prompt", hint=f"it needs one of {', '.join(_FIELDS)}"
    )
