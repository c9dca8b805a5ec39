"""The same answer in the notations that reasoning-gym's scorers read, who know plain text only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_MOST_CHARS = 2000  # of an answer that is written anew
_WRAPPINGS = (("**", "**"), ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_MIXED = re.compile(r"\d\s*\\[dt]?frac")  # 1 1/2: a sum, and no product
_RATIO = re.compile(r"(-?)(?:\\[dt]?frac\{(\d{1,15})\}\{(\d{1,15})\}|(\d{1,15})/(\d{1,15}))")
_POWER = re.compile(r"\^\{([^{}]*)\}")
_IMPLIED = re.compile(r"(?<=[\d)]) *(?=[A-Za-z(])")  # the product in 2x and 3(x + 1)
_ITEM_EDGES = " '\"[]"


def notations(text: str, gold: str) -> Iterator[str]:
    """The text, and what it says written otherwise, each once. `gold` shows the form that is meant.

    They are one answer: marks of bold and of mathematics go, and a full stop; a fraction gets its
    decimals, a list its brackets and quotes; LaTeX becomes what Python and sympy read.
    """
    seen = set[str]()
    for each in _candidates(text, gold):
        if each and each not in seen:
            seen.add(each)
            yield each


def _candidates(text: str, gold: str) -> Iterator[str]:
    yield text
    if len(text) > _MOST_CHARS:
        return
    plain = _unwrapped(text)
    yield plain
    if gold.startswith("['"):  # numbers as strings, as the examples of some tasks have them
        items = [item.strip(_ITEM_EDGES) for item in plain.split(",")]
        yield str([item for item in items if item])
    ratio = _RATIO.fullmatch(plain)
    if ratio is not None:
        sign, *parts = ratio.groups()
        above, below = (int(part) for part in parts if part is not None)
        yield f"{sign}{above}/{below}"
        if below:
            value = Fraction(above, below)
            yield str(float(-value if sign else value))
    yield plain.replace(r"\times", "×").replace(r"\cdot", "×")
    if not _MIXED.search(plain):
        yield _formula(plain)


def _unwrapped(text: str) -> str:
    """Without what stands around it: bold, marks of mathematics, a box of words, a full stop."""
    while True:
        inner = _WORDS.sub(r"\1", text).strip()
        inner = inner[:-1] if inner.endswith(".") and not inner.endswith("..") else inner
        for opened, closed in _WRAPPINGS:
            if inner.startswith(opened) and inner.endswith(closed):
                inner = inner[len(opened) : -len(closed)]
                break
        if inner == text:
            return inner
        text = inner


def _formula(latex: str) -> str:
    """As Python and sympy write it."""
    plain = _FRACTION.sub(r"((\1)/(\2))", latex).replace(r"\left", "").replace(r"\right", "")
    plain = plain.replace(r"\times", "*").replace(r"\cdot", "*").replace(r"\,", " ")
    return _IMPLIED.sub("*", _POWER.sub(r"**(\1)", plain).replace("^", "**"))
