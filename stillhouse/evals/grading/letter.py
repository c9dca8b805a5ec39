"""The letter of a choice, A to J, as models write it; or the choice's own text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stillhouse.evals.grading.boxes import last_boxed, plain

_LETTERS = "ABCDEFGHIJ"
# What may stand around a letter: emphasis, brackets, quotes, LaTeX.
_BEFORE = (
    r"(?:[\s*_$(\[\"'`{]|\\(?:text|textbf|mathrm|mathbf|boxed)\b|\\\(|\\\[|(?i:option|choice)\s)*"
)
# After it no word: "A" and "I" are words, and "C" may begin "CCl4". A reason may follow.
_AFTER = (
    r"(?![\w'’%^/+=]|-\w|\s*[=+×*/^]\s*\d|\.\d|\s+(?!(?:because|since|as|which|and|for|is|based|due"
    r"|with|given|from)\b)[a-z])"
)


def find(answer: str, choices: Sequence[str], *, ended: bool) -> str | None:
    r"""The letter that the answer settles on, in capitals: the last one, of the surest kind.

    In this order: in a `\boxed{}`; after "answer" ("Answer: C", "the answer is (C)"), or before "is
    correct"; a line of its own, or that a choice's label begins; in bold or in brackets; the text
    of exactly one choice. An answer that was cut off (not `ended`) must have said which it is.
    """
    letters = _LETTERS[: len(choices)] if choices else _LETTERS
    boxed = last_boxed(answer)
    if boxed is not None:
        found = _boxed_letter(boxed, letters) or _by_text(boxed, choices)
        if found:
            return found
    found = _announced(answer, letters, choices)
    if found or not ended:
        return found
    return (
        _labelled(answer, letters)
        or _last(rf"\*\*{_BEFORE}([{letters}])(?![\w'’])", answer)
        or _last(rf"\(([{letters}])\)", answer)
        or _last(rf"(?i:option|choice)\s+[*(\"']*([{letters}])(?![\w'’])", answer)
        or _by_text(answer, choices)
        or _by_text(_lines(answer)[-1] if _lines(answer) else "", choices)
    )


def _boxed_letter(boxed: str, letters: str) -> str | None:
    found = re.match(rf"{_BEFORE}([{letters}{letters.lower()}])(?=[\s)}}\].:,*$\"']|$)", boxed)
    if found is None:
        return None
    rest = boxed[found.end() :].lstrip(" )}].:,*$\"'\\")
    # "a" before other words is one of them; a capital before the choice's text is its label.
    is_alone = not rest or (found[1].isupper() and boxed[found.end() :][:1] != " ")
    return found[1].upper() if is_alone else None


def _announced(answer: str, letters: str, choices: Sequence[str]) -> str | None:
    lead = r"(?i:\banswers?|\bchoice|\boption)\b[^\n.:]{0,80}?(?:\b(?i:is|be|are)\b\s*:?|[:=])"
    small = letters.lower()
    after = rf"{lead}{_BEFORE}([{letters}]){_AFTER}"
    # A small one only in brackets, or at the end of the line.
    small_after = (
        rf"{lead}{_BEFORE}(?:(?<=[(*{{])([{small}])(?=[)*}}])"
        rf"|(?<=\s)([{small}])(?=\.?\s*(?:\n|$)))"
    )
    before = (
        rf"(?<![\w'’])([{letters}])[).:\"'*]*[^\n.]{{0,80}}?\s(?i:is|would be)\s(?i:the\s)?"
        r"(?:[*]*)(?i:most\s)?(?i:likely\s)?(?i:correct|right|best|true|accurate|answer)\b"
    )
    found = [
        (match.start(), next(group for group in match.groups() if group).upper())
        for pattern in (after, small_after, before)
        for match in re.finditer(pattern, answer)
    ]
    if found:
        return max(found)[1]
    said = list(re.finditer(lead, answer))
    if not said:
        return None
    return _by_text(answer[said[-1].end() :].strip().partition("\n")[0], choices)


def _labelled(answer: str, letters: str) -> str | None:
    """Of the last line, else of the first, else of the only label there is."""
    lines = _lines(answer)
    label = re.compile(rf"{_BEFORE}([{letters}])(?:[).:\]*}}$]+(?=\s|$|\w|\*)|\s*$)")
    alone = re.compile(rf"{_BEFORE}([{letters}])[\s).:\]*}}$\"'`]*")
    for line in lines[-1:] + lines[:1]:
        if found := alone.fullmatch(line):
            return found[1]
    labels = [found[1] for line in lines if (found := label.match(line))]
    # A list of all choices settles on none.
    return labels[-1] if len(set(labels)) == 1 else None


def _by_text(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the one choice whose whole text this is."""
    wanted = _bare(text)
    same = [index for index, choice in enumerate(choices) if wanted and _bare(choice) == wanted]
    return _LETTERS[same[0]] if len(same) == 1 and same[0] < len(_LETTERS) else None


def _bare(text: str) -> str:
    return plain(text.replace("*", "").strip(" \n\"'`.:")).casefold()


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text)
    return found[-1] if found else None


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]
