"""The letter of a choice, A to J, as models write it; or the choice's own text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from stillhouse.evals.grading.boxes import last_boxed

_LETTERS = "ABCDEFGHIJ"
# Every repetition has a bound or gives nothing back: the time is in proportion to the text.
# What may stand around a letter: emphasis, brackets, quotes, LaTeX.
_BEFORE = (
    r"(?:[\s*_$(\[\"'`{“”‘’]|\\(?:text(?:bf|it|rm|sf)?|math(?:rm|bf|sf|it)|boxed)\b|\\[(\[]"
    r"|(?i:option|choice)\s){0,40}+"
)
_CLOSED = r"[)\]}*_$\"'”’`]{0,8}+"
# After it no word: "A" and "I" are words, and "C" may begin "CCl4". A reason may follow.
_AFTER = (
    r"(?![^\W\u3400-\u9fff]|[%^/+=]|['’]\w|-\w|\s{0,9}[=+×*/^]\s{0,9}\d|\.\d"
    r"|\s{1,9}(?!(?:because|since|as|which|and|or|for|is|based|due|with|given|from)\b)[a-z])"
)
_NEGATED = r"(?:\b(?i:not|cannot|never|no|none|neither|except|incorrect|wrong|false)\b|n['’]t\b)"
# Before a letter: it is denied. Words that begin another clause end the denial.
_DENIED = re.compile(
    rf"(?:{_NEGATED}|\b(?i:unlike|than|nor|rule[sd]? out|whether|if)\b)"
    r"(?:(?!\b(?:so|then|and|but|hence|thus|therefore|because)\b)[^.,;:\n]){0,40}$"
    r"|\b(?i:none of|neither|not)\s(?:[\w\s]{0,12}\s)?(?:[A-J]\W{0,3}(?:(?:and|or|nor)\W)?){1,9}$"
)
# Before "answer" or "option" less may stand: "as x is not 0 the answer is B" denies nothing.
_DOUBTED = re.compile(
    r"(?:\b(?i:not|never|cannot)|n['’]t)\s(?:\w{1,12}\s)?"
    r"(?:think|believe|agree|say|sure|clear|mean|imply|true|certain|conclude)\b[^.,;:\n]{0,30}$"
    r"|\b(?i:if|whether)\s(?:\w{1,9}\s){0,2}$|\b(?i:wrong|incorrect|false)\s$"
)
_WINDOW = 70  # characters before a letter that are searched for a denial


class _Patterns(NamedTuple):
    """For the letters that there are."""

    answer_is: re.Pattern[str]
    option_is: re.Pattern[str]
    is_correct: re.Pattern[str]
    only: re.Pattern[str]
    lead: re.Pattern[str]
    another: re.Pattern[str]
    one_of_two: re.Pattern[str]
    in_line: tuple[re.Pattern[str], ...]
    label: re.Pattern[str]
    alone: re.Pattern[str]
    at_end: re.Pattern[str]
    in_box: re.Pattern[str]


@cache
def _patterns(letters: str) -> _Patterns:
    capital, small = f"[{letters}]", f"[{letters.lower()}]"
    # "A star" and "I think" name no choice; "A is" does.
    named = rf"(?<![\w'’]){capital}(?![\w'’])(?!\s(?!(?:is|are|and|or|but|was|would)\b)[a-z])"
    gap = rf"(?:(?!{_NEGATED}|{named})[^\n.:。]){{0,80}}?"
    verb = r"\b(?i:is|be|are)\b\s{0,9}+:?"
    # "Let us look at each option:" announces all of them.
    answer = (
        r"(?:(?i:\banswers?|\b(?:correct|right|best)\s(?:option|choice))\b"
        rf"{gap}(?:{verb}|[:=])|(?:答案|正确选项)[^\n。A-Z]{{0,10}}?[是为选：:]|(?<!不)选择?)"
    )
    option = rf"(?i:\bchoice)\b{gap}(?:{verb}|[:=])|(?i:\boption|\bcorrect|\bright)\b{gap}{verb}"
    # A small one only in brackets, or at the end of the line.
    found = (
        rf"{_BEFORE}(?:({capital}){_AFTER}|(?<=[(*{{])({small})(?=[)*}}])"
        rf"|(?<=\s)({small})(?=\.?\s{{0,9}}(?:\n|$)))"
    )
    comma = r"\s{0,3}(?:[,/&]|,?\s{0,3}\b(?:and|or|nor)\b|,)"
    another = rf"{_CLOSED}{comma}{_BEFORE}{capital}{_AFTER}(?!{_CLOSED}\s(?:is|was|would|has)\b)"
    label = rf"(?:[):\"'”’*\]]{{0,9}}+|(?<=^[{letters}])\.|(?<=\n[{letters}])\.|\.(?=\S))"
    return _Patterns(
        answer_is=re.compile(answer + found),
        option_is=re.compile(rf"(?:{option}){found}"),
        is_correct=re.compile(
            rf"({named}){label}(?:(?!{_NEGATED}|{named})[^\n.]){{0,80}}?\s(?i:is|would be)\s"
            r"(?i:the\s)?\*{0,3}+(?i:most\s)?(?i:likely\s)?"
            r"(?i:correct|right|best|true|accurate|answer)\b"
        ),
        only=re.compile(
            rf"\b(?i:only){_BEFORE}({capital}){_CLOSED}\s"
            r"(?:fits|works|remains|matches|holds|is\s(?:left|possible|correct|right|true))\b"
        ),
        lead=re.compile(rf"(?:{answer}|{option})"),
        another=re.compile(another),
        one_of_two=re.compile(rf"(?<![\w'’]){capital}{_CLOSED}\s?(?:and|or|nor|/|&)\W{{0,3}}$"),
        in_line=(
            re.compile(rf"\*\*{_BEFORE}({capital})(?![\w'’])"),
            re.compile(rf"\(({capital})\)"),
            re.compile(rf"(?i:option|choice)\s{{1,9}}+[*(\"']{{0,9}}+({capital})(?![\w'’])"),
        ),
        label=re.compile(rf"{_BEFORE}({capital})(?:[).:\]*}}$]{{1,9}}(?=\s|$|\w|\*)|\s*$)"),
        alone=re.compile(rf"{_BEFORE}({capital})[\s).:\]*}}$\"'”’`]*"),
        at_end=re.compile(rf"(?<![+*/^])[\s:：(-]({capital})\W*$"),
        in_box=re.compile(rf"{_BEFORE}({capital}|{small})(?=[\s)}}\].:,*$\"'\\~]|$)"),
    )


def find(answer: str, choices: Sequence[str], *, ended: bool) -> str | None:
    r"""The letter that the answer settles on, in capitals: the last one, of the surest kind.

    In this order: in a `\boxed{}`; after "answer" ("Answer: C", "the answer is (C)"); after
    "option", or before "is correct"; a line of its own, or that a choice's label begins; in bold or
    in brackets; at the end of the last line; the text of exactly one choice, which that line is or
    ends with. A letter that is denied ("cannot be A") does not count, and who names two of them
    settles on none. An answer that was cut off (not `ended`) must have said which it is.
    """
    patterns = _patterns(_LETTERS[: len(choices)] if choices else _LETTERS)
    boxed = last_boxed(answer)
    if boxed is not None:
        found, is_several = _in_box(boxed, patterns, choices)
        if found or is_several:
            return found
    found, is_several = _announced(answer, patterns, choices)
    if found or is_several or not ended:
        return found
    answer = re.sub(r"</?answer>", "", answer).strip()
    last = answer.rpartition("\n")[2]
    if len(answer) == 1 and answer.upper() in (_LETTERS[: len(choices)] if choices else _LETTERS):
        return answer.upper()
    found = _labelled(answer, patterns)
    for pattern in patterns.in_line:
        found = found or _last(pattern, answer, patterns)
    return (
        found
        or _last(patterns.at_end, last, patterns)
        or _by_text(answer, choices)
        or _by_ending(last, choices)
    )


def _in_box(boxed: str, patterns: _Patterns, choices: Sequence[str]) -> tuple[str | None, bool]:
    """The letter of a box; or whether it names several, and nothing after it matters."""
    found = patterns.in_box.match(boxed)
    if found is None:
        return _by_text(boxed, choices), False
    rest = boxed[found.end() :]
    if not rest.strip(" )}].:,*$\"'”’`\\~"):
        return found[1].upper(), False
    if by_text := _by_text(boxed, choices):  # "A and B" may be a choice
        return by_text, False
    if patterns.another.match(boxed, found.end()):
        return None, True
    # "a" before other words is one of them; a capital before the choice's text is its label.
    words = _bare(rest).lstrip("-–—:.,) ")
    place = _LETTERS.index(found[1].upper())
    is_label = found[1].isupper() and (
        rest[0] not in " \\~-"
        or (place < len(choices) and words == _bare(choices[place]))
        or re.match(r"\s?[-–—]\s", rest) is not None
        or (found[1] not in "AI" and re.match(r"[\s\\~]{0,9}(?:\\text\{\s?)?[A-Z][a-z]", rest))
    )
    return (found[1] if is_label else None), False


def _announced(answer: str, patterns: _Patterns, choices: Sequence[str]) -> tuple[str | None, bool]:
    """The letter of the last announcement of the surest kind; or whether that names several."""
    for kind in (
        ((patterns.answer_is, _DOUBTED),),
        ((patterns.option_is, _DOUBTED), (patterns.is_correct, _DENIED), (patterns.only, _DENIED)),
    ):
        matches = [
            (match.start(), match, denial)
            for pattern, denial in kind
            for match in pattern.finditer(answer)
        ]
        for start, match, denial in sorted(matches, key=lambda one: one[0], reverse=True):
            before = answer[max(0, start - _WINDOW) : start]
            if denial.search(before) or patterns.one_of_two.search(before):
                continue
            group = match.lastindex or 1
            if patterns.another.match(answer, match.end(group)):
                line = answer[match.start(group) :].partition("\n")[0]
                return _by_text(line, choices), True
            return match[group].upper(), False
    said = list(patterns.lead.finditer(answer))
    if not said:
        return None, False
    return _by_text(answer[said[-1].end() :].strip().partition("\n")[0], choices), False


def _labelled(answer: str, patterns: _Patterns) -> str | None:
    """Of the last line, else of the first, else of the only label there is."""
    lines = _lines(answer)
    for line in lines[-1:] + lines[:1]:
        if found := patterns.alone.fullmatch(line):
            return found[1]
    labels = [found[1] for line in lines if (found := patterns.label.match(line))]
    # A list of all choices settles on none.
    return labels[-1] if len(set(labels)) == 1 else None


def _last(pattern: re.Pattern[str], text: str, patterns: _Patterns) -> str | None:
    """The last that is not denied, unless it is one of two."""
    for found in reversed(list(pattern.finditer(text))):
        before = text[max(0, found.start(1) - _WINDOW) : found.start(1)]
        if not _DENIED.search(before):
            is_one_of_two = patterns.one_of_two.search(before) or patterns.another.match(
                text, found.end(1)
            )
            return None if is_one_of_two else found[1]
    return None


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
    text = re.sub(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf)\s?\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"[*$~]|\\[() ,;]", " ", text).replace("−", "-")
    return " ".join(text.casefold().split()).strip(" \"'`.:“”‘’")


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]
