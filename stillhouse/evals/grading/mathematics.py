r"""Mathematics by math-verify, in the graders' own process: sympy may take for ever.

Imported there alone. math-verify's own timeouts use SIGALRM, which long integer powers ignore:
they are off, and the process is ended from outside. Its plain expressions go to sympy's
`parse_expr`, which evaluates Python; they hold only digits and operators, and LaTeX has a grammar
of its own.
"""

from __future__ import annotations

import re

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

_NUMBER = re.compile(r"-?[\d,]*\.?\d+")
_LATEX = LatexExtractionConfig(boxed_match_priority=0)
_EITHER = (_LATEX, ExprExtractionConfig())


def compare(gold: str, boxed: str | None, text: str) -> tuple[bool, str | None]:
    """Whether the answer is the gold one, and what was taken for it, None if nothing was found.

    `boxed` is what the box held; without a box, math-verify looks through `text` itself.
    """
    shown = text if boxed is None else f"\\boxed{{{boxed}}}"
    answers = parse(shown, _EITHER, parsing_timeout=None)
    if not answers:
        return False, boxed
    taken = boxed if boxed is not None else str(answers[-1])
    return verify(_gold(gold), answers, timeout_seconds=None), taken


def warm() -> None:
    """Loads grammar and patterns, which takes longer than an answer may."""
    compare(r"\frac{1}{2} + x", r"x + 0.5", "")
    compare("2", None, "The answer is 1 + 1.")


def _gold(gold: str) -> list[object]:
    if _NUMBER.fullmatch(gold.strip()):
        return list(parse(gold.strip(), (ExprExtractionConfig(),), parsing_timeout=None))
    return list(parse(f"\\boxed{{{gold}}}", (_LATEX,), parsing_timeout=None))
