r"""Mathematics by math-verify, in the graders' own process: sympy may take for ever.

Imported there alone. math-verify's own timeouts use SIGALRM, which long integer powers ignore:
they are off, and the process is ended from outside. Its plain expressions go to sympy's
`parse_expr`, which evaluates Python; they hold only digits and operators, and LaTeX has a grammar
of its own.
"""

from __future__ import annotations

import re

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d+)\}")
_ROOT = re.compile(r"√(\d+|\w)")
_SIGNS = str.maketrans(
    {"−": "-", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "×": r"\times "}
)
# A number with what math-verify does not know for a unit. "3 m^2" may be a formula, and is left.
_AMOUNT = r"(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
_MEASURES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[£€¥₹]\s?{_AMOUNT}",
        rf"{_AMOUNT}\s{{0,3}}\\pmod\s?\{{\d+\}}",
        rf"\\text\s?\{{\s?{_AMOUNT}\s(?!(?:or|and|to|out|hundred|thousand|dozen|\w+illion)\b)"
        r"[a-z]+(?:\s[a-z]+)?\s?\}",
        rf"{_AMOUNT}(?:[\s~]|\\[,;: ]){{0,3}}"
        r"(?:[ckm]m|ft|in|yd|mi|\\(?:text|mathrm)\s?\{\s?[a-z]{1,4}\s?\})(?:\^(?:[23]|\{[23]\}))?",
    )
)
_LATEX = LatexExtractionConfig(boxed_match_priority=0)
_EITHER = (_LATEX, ExprExtractionConfig())


def compare(gold: str, boxed: str | None, text: str) -> tuple[bool, str | None]:
    """Whether the answer is the gold one, and what was taken for it, None if nothing was found.

    `boxed` is what the box held. Where there was none it is what followed "answer is", or None,
    and math-verify looks through `text` as well.
    """
    if boxed is not None:
        amount = _amount(boxed) if _NUMBER.fullmatch(gold.strip()) else None
        if amount is not None and _are_same(gold, _parsed(f"\\boxed{{{amount}}}")):
            return True, boxed
        right = _are_same(gold, _parsed(f"\\boxed{{{boxed}}}"))
        if right or not text:
            return right, boxed
    answers = _parsed(text)
    if not answers:
        return False, None
    return _are_same(gold, answers), str(answers[-1])


def _amount(boxed: str) -> str | None:
    """The number, where all else is its unit."""
    found = (pattern.fullmatch(boxed.strip()) for pattern in _MEASURES)
    return next((match[1] for match in found if match), None)


def _parsed(text: str) -> list[object]:
    return list(parse(_as_latex(text), _EITHER, parsing_timeout=None))


def _as_latex(text: str) -> str:
    text = _ROOT.sub(r"\\sqrt{\1}", text).translate(_SIGNS)
    return _REPEATING.sub(_fraction, text)


def _are_same(gold: str, answers: list[object]) -> bool:
    # The two sides may say the same as an interval and as an inequality.
    return bool(verify(_gold(gold), answers, allow_set_relation_comp=True, timeout_seconds=None))


def warm() -> None:
    """Loads grammar and patterns, which takes longer than an answer may."""
    compare(r"\frac{1}{2} + x", r"x + 0.5", "")
    compare("2", None, "The answer is 1 + 1.")


def _gold(gold: str) -> list[object]:
    if _NUMBER.fullmatch(gold.strip()):
        return list(parse(gold.strip(), (ExprExtractionConfig(),), parsing_timeout=None))
    return list(parse(f"\\boxed{{{_as_latex(gold)}}}", (_LATEX,), parsing_timeout=None))


def _fraction(repeating: re.Match[str]) -> str:
    """0.1666..., written with a line over the 6, is (16 - 1)/90."""
    whole, fixed, period = repeating.groups()
    above = int(f"{whole}{fixed}{period}") - int(f"{whole}{fixed}" or "0")
    below = (10 ** len(period) - 1) * 10 ** len(fixed)
    return f"\\frac{{{above}}}{{{below}}}"
