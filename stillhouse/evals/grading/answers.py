"""Where an answer's answer stands, how much of a text is read, and what no answer is called."""

from __future__ import annotations

import re

from stillhouse.evals.grading.boxes import are_words, last_boxed
from stillhouse.evals.sample import Verdict

_MOST_CHARS = 100_000  # read of an answer, from its end
_MOST_SHOWN = 4000  # kept of what was taken for the answer
_SHORT, _LONG = 20, 200  # characters of an answer that is words, and of one after its mark
_TAG = "<answer>", "</answer>"
_MARK = re.compile(r"(?i)\banswer\b\W{0,8}(?:is\b\s*:?|[:=])")


def unanswered(finish_reason: str, thinking_end: str) -> Verdict:
    """Why a reply has no answer: it went in circles, a limit of tokens ended it, or neither."""
    if "loop" in (finish_reason, thinking_end):
        return "looped"
    if finish_reason == "length" or thinking_end == "context":
        return "truncated"
    return "no_answer"


def cut(answer: str) -> tuple[str, str | None]:
    """The end of an answer, if all of it is too long to be read, and a note that says so."""
    if len(answer) <= _MOST_CHARS:
        return answer, None
    return answer[
        -_MOST_CHARS:
    ], f"the last {_MOST_CHARS:,} of {len(answer):,} characters were read"


def shortened(extracted: str | None) -> str | None:
    """For the record; what is left out is said in it."""
    if extracted is None or len(extracted) <= _MOST_SHOWN:
        return extracted
    return f"{extracted[:_MOST_SHOWN]}... ({len(extracted):,} characters)"


def with_marks(text: str, *, ended: bool) -> str:
    """All of an answer that ended by itself; of one that was cut off, what follows "answer is"."""
    if ended:
        return text
    marks = list(_MARK.finditer(text))
    return text[marks[-1].start() :] if marks else ""


def claimed(text: str, gold: str) -> str | None:
    """What follows "answer is" or "answer:" in its line; a short answer of words is all answer."""
    marks = list(_MARK.finditer(text))
    line = text[marks[-1].end() :].strip(" \n*").partition("\n")[0] if marks else ""
    if not marks and are_words(gold) and len(text) <= _SHORT and "\n" not in text.strip():
        line = text
    return line.strip().strip("*$").strip().rstrip(".") or None if len(line) <= _LONG else None


def tagged(text: str, *, ended: bool) -> str | None:
    r"""Between the last `<answer>` tags, else in the last box, else after "answer is", else all."""
    opened, closed = _TAG
    end = text.rfind(closed)
    start = text.rfind(opened, 0, end) if end >= 0 else -1
    if start >= 0:
        return text[start + len(opened) : end].strip()
    if (boxed := last_boxed(text)) is not None:
        return boxed
    marks = list(_MARK.finditer(text))
    if marks:
        return text[marks[-1].end() :].strip().strip("*").strip() or None
    return (text.strip() or None) if ended else None
