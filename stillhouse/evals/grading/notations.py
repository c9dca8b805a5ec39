"""The same answer in the notations that reasoning-gym's scorers read, who know plain text only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_MOST_CHARS = 2000  # of an answer that is written anew
_WRAPPED = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}")
_MATH_MARKS = re.compile(r"\\[()\[\]]|\$")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_RATIO = re.compile(r"(-?\d{1,15})/(\d{1,15})")
_POWER = re.compile(r"\^\{([^{}]*)\}")
_IMPLIED = re.compile(r"(?<=[\d)])\s*(?=[A-Za-z(])")  # the product in 2x and 3(x + 1)
_ITEM_EDGES = " '\"[]"


def notations(text: str, gold: str) -> Iterator[str]:
    """The text, and what it says written otherwise, each once. `gold` shows the form that is meant.

    They are one answer: LaTeX becomes plain, a product and a power get their signs, a fraction its
    decimals, a list its brackets and quotes. What follows in later lines is left out at last.
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
    for part in (text, text.partition("\n")[0]):
        plain = _MATH_MARKS.sub("", _WRAPPED.sub(r"\1", part)).strip().strip("*").strip()
        yield plain
        yield plain.rstrip(".")
        # A list of numbers as strings, as the examples of some tasks have it.
        if gold.startswith("['"):
            items = [item.strip(_ITEM_EDGES) for item in plain.rstrip(".").split(",")]
            yield str([item for item in items if item])
        yield plain.replace(r"\times", "×").replace(r"\cdot", "×")
        formula = _formula(plain.rstrip("."))
        yield formula
        ratio = _RATIO.fullmatch(formula.replace("(", "").replace(")", "").replace(" ", ""))
        if ratio is not None and int(ratio[2]):
            yield str(float(Fraction(int(ratio[1]), int(ratio[2]))))


def _formula(latex: str) -> str:
    """As Python and sympy write it."""
    plain = _FRACTION.sub(r"(\1)/(\2)", latex).replace(r"\left", "").replace(r"\right", "")
    plain = plain.replace(r"\times", "*").replace(r"\cdot", "*").replace(r"\,", " ")
    return _IMPLIED.sub("*", _POWER.sub(r"**(\1)", plain).replace("^", "**"))
