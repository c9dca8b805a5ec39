"""The letter of a choice, A to J, as models write it; or the choice's own text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stillhouse.evals.grading.boxes import last_boxed

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
    correct"; a line of its own, or that a choice's label begins; in bold or in brackets; at the end
    of the last line; the text of exactly one choice, which that line is or ends with. An answer
    that was cut off (not `ended`) must have said which it is.
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
    answer = re.sub(r"</?answer>", "", answer).strip()
    last = answer.rpartition("\n")[2]
    if len(answer) == 1 and answer.upper() in letters:
        return answer.upper()
    return (
        _labelled(answer, letters)
        or _last(rf"\*\*{_BEFORE}([{letters}])(?![\w'’])", answer)
        or _last(rf"\(([{letters}])\)", answer)
        or _last(rf"(?i:option|choice)\s+[*(\"']*([{letters}])(?![\w'’])", answer)
        or _last(rf"[\s:：(-]([{letters}])\W*$", last)
        or _by_text(answer, choices)
        or _by_ending(last, choices)
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
    # "Let us look at each option:" announces all of them.
    verb = r"\b(?i:is|be|are)\b\s*:?"
    lead = (
        rf"(?:(?i:\banswers?|\bchoice)\b[^\n.:]{{0,80}}?(?:{verb}|[:=])"
        rf"|(?i:\boption|\bcorrect|\bright)\b[^\n.:]{{0,80}}?{verb})"
    )
    small = letters.lower()
    after = rf"{lead}{_BEFORE}([{letters}]){_AFTER}"
    # A small one only in brackets, or at the end of the line.
    small_after = (
        rf"{lead}{_BEFORE}(?:(?<=[(*{{])([{small}])(?=[)*}}])"
        rf"|(?<=\s)([{small}])(?=\.?\s*(?:\n|$)))"
    )
    before = (
        rf"(?<![\w'’])([{letters}])(?![\w'’])[).:\"'*]*[^\n.]{{0,80}}?\s(?i:is|would be)\s"
        r"(?i:the\s)?\**(?i:most\s)?(?i:likely\s)?(?i:correct|right|best|true|accurate|answer)\b"
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
    return _only([wanted == _bare(choice) and wanted != "" for choice in choices])


def _by_ending(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that a sentence ends with, if it has no other in it."""
    sentence, ending = _bare(text), ""
    bare = [_bare(choice) for choice in choices]
    for choice in bare:
        if choice and re.search(rf"(?<![\w.,-]){re.escape(choice)}$", sentence):
            ending = max(ending, choice, key=len)
    others = [choice for choice in bare if choice and choice not in ending]
    before = sentence.removesuffix(ending)
    if not ending or any(re.search(rf"\b{re.escape(choice)}\b", before) for choice in others):
        return None
    return _only([choice == ending for choice in bare])


def _only(fits: list[bool]) -> str | None:
    return _LETTERS[fits.index(True)] if sum(fits) == 1 and True in fits[:10] else None


def _bare(text: str) -> str:
    text = re.sub(r"[*$]|\\[()]", "", text).replace("−", "-")
    return " ".join(text.casefold().split()).strip(" \"'`.:")


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text)
    return found[-1] if found else None


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]
