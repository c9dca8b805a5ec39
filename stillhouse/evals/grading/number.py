r"""Numbers: GSM8K's. Any way to write one down, or with `strict`, lm-eval's only one.

`strict` is `strict-match` of lm-eval's task gsm8k, version 3: the first `#### n`, compared as text
after `,`, `$` and a last full stop have gone from both sides.
(github.com/EleutherAI/lm-evaluation-harness, lm_eval/tasks/gsm8k/gsm8k.yaml)
"""

from __future__ import annotations

import re
from fractions import Fraction

from stillhouse.evals.grading.boxes import last_boxes

_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_STRICT_IGNORED = tuple(re.compile(pattern) for pattern in (r",", r"\$", r"(?s).*#### ", r"\.$"))

_CURRENCY = r"[$€£¥₹]"
_DIGITS = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
# A minus belongs to the number unless something stands before it that can be subtracted from.
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)\]}}])-\s?)?(?:{_CURRENCY}\s?(?P<inner>-)?)?(?P<digits>{_DIGITS})"
    rf"(?:\s?/\s?(?P<below>\d+)(?![\d/]))?"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{\s*(-?[\d,.]+)\s*\}\s*\{\s*([\d,.]+)\s*\}")
_MIXED = re.compile(r"(?<![\w.])(\d+)\s+(\d+)\s?/\s?(\d+)(?![\d/])")
_MARK = re.compile(r"(?i:\banswer\b(?:\s+is\b|\s*[:=])|####)(?=[^\n\d]{0,60}\d)")
_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_FILL = re.compile(r"\\(?:left|right|[!,;: ])|[*_`~]")
_POWER = re.compile(r"(?<=[A-Za-z])[\s)]{0,3}\^\s?\{?-?\d+\}?")  # of a unit or a variable
_SPACED = re.compile(r"(?<![\d.,/])(?<!\d\s)\d{1,3}(?:\s\d{3})++(?!\s?[\d/])")  # 1 234 in a box
_OCLOCK = re.compile(r"(?i)(?<=\d):00(?=\s{0,3}(?:[ap]\.?m|o['’]clock))")
_NO_NUMBER = re.compile(
    r"(?<!\d)\d++(?:\s?:\s?\d+|,\d\d(?![\d,]))"
)  # a ratio, or a comma for a point
# What a text says is equal: the parts of "3 x 4 = 12", "10/3 is about 3", "Total: 12".
_EQUAL = re.compile(
    r"=|≈|→|⇒|\\(?:approx|implies|Rightarrow|rightarrow|to)\b|:(?=\s)|\b(?:is|are|equals?)\b"
)
_OPERATION = re.compile(
    r"[×·÷+]|\\(?:times|cdot|div)\b|\d\s?\*\s?[$(\d]|\s\*\s|\s[-−]\s|\d[-−][$(\d]|[\d)]\("
)
_REASON = re.compile(r"(?i)\b(?:since|because|as|where|when|if|given)\b|[.;!?]\s")
_PHRASE_BEFORE = re.compile(
    r"\W*(?i:after|at|by|during|for|in|on|over|with|within)\b(?:[^,]|,\S)*+,"
)
_MOST_DIGITS = 400  # of a number that is computed with; the task's have no more than ten


def strict(answer: str) -> str | None:
    """The number as lm-eval takes it, or None if there is no `#### ` before one."""
    found = _STRICT.search(answer)
    return None if found is None else found.group(1)


def is_strictly(extracted: str, gold: str) -> bool:
    """`gold` may be the number, or the whole worked answer with `####` before it."""
    return _as_lm_eval(extracted) == _as_lm_eval(gold)


def _as_lm_eval(text: str) -> str:
    for ignored in _STRICT_IGNORED:
        text = ignored.sub("", text)
    return text.lower()


def find(answer: str, *, ended: bool) -> str | None:
    r"""The number in the last `\boxed{}`, else after `####` or "answer is", else the last one.

    Where the answer was cut off (not `ended`) its last number is only where it was cut.
    Given in one form for all ways to write it: `1234.5`, or `3/4`.
    """
    boxed = last_boxes(answer)
    if boxed and (value := _settled(_SPACED.sub(_closed, _unwrapped(boxed[-1])))):
        return value
    marked = list(_MARK.finditer(answer))
    if marked:
        line = _unwrapped(answer[marked[-1].end() :].partition("\n")[0])
        reason = _REASON.search(line)
        said = line[: reason.start()] if reason else line
        if value := _settled(said) or _settled(line):
            return value
    values = _values(answer) if ended else []
    return values[-1] if values else None


def _settled(text: str) -> str | None:
    """The number that a short text gives: the last part that is no operation, and its first number.

    What follows a number are its units: "20 for 3 days", "3 out of 4". What comes before it may be
    a phrase of its own: "After 5 days, 10 are left".
    """
    text = _OCLOCK.sub("", text)
    parts = [(part, values) for part in _EQUAL.split(text) if (values := _values(part))]
    for part, values in reversed(parts):
        if not _OPERATION.search(part):
            phrase = _PHRASE_BEFORE.match(part)
            if phrase and (after := _values(part[phrase.end() :])):
                return after[0]
            odd = _NO_NUMBER.search(part)
            return odd[0] if odd and _values(odd[0])[0] == values[0] else values[0]
    return parts[-1][1][-1] if parts else None


def _closed(spaced: re.Match[str]) -> str:
    return "".join(spaced[0].split())


def same(extracted: str, gold: str) -> bool:
    """Whether both are the same number, exactly."""
    wanted = _values(gold)
    return bool(wanted) and extracted == wanted[-1]


def _unwrapped(text: str) -> str:
    r"""Without `\text{}`, which may hold the words that part a sentence."""
    return _WORDS.sub(r" \1 ", text)


def _values(text: str) -> list[str]:
    text = _WORDS.sub(r" \1 ", text).replace("{,}", ",").replace("−", "-").replace("\\$", "$")
    text = _POWER.sub(" ", _FILL.sub("", text))
    text = _FRACTION.sub(lambda found: f" {found[1]}/{found[2]} ", text)
    text = _MIXED.sub(lambda found: _sum(*map(_bounded, found.groups())), text)
    return [value for found in _NUMBER.finditer(text) if (value := _value(found)) is not None]


def _bounded(digits: str) -> int:
    return int(digits) if len(digits) <= _MOST_DIGITS else 0


def _sum(whole: int, above: int, below: int) -> str:
    total = whole + Fraction(above, below or 1)
    return f" {total.numerator}/{total.denominator} "


def _value(found: re.Match[str]) -> str | None:
    digits = found["digits"].replace(",", "")
    if len(digits) > _MOST_DIGITS or len(found["below"] or "") > _MOST_DIGITS:
        return f"{len(digits)} digits"
    value = Fraction(digits)
    if found["below"]:
        if int(found["below"]) == 0:
            return None
        value /= int(found["below"])
    if found["sign"] or found["inner"]:
        value = -value
    return _text(value)


def _text(value: Fraction) -> str:
    """A decimal where it ends, else a fraction."""
    below = value.denominator
    places = 0
    while below % 10 == 0 or below % 2 == 0 or below % 5 == 0:
        below //= 10 if below % 10 == 0 else 2 if below % 2 == 0 else 5
        places += 1
    if below != 1:
        return f"{value.numerator}/{value.denominator}"
    if places == 0:
        return str(value.numerator)
    scaled = abs(value.numerator) * 10**places // value.denominator
    whole, part = divmod(scaled, 10**places)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{part:0{places}d}".rstrip("0")
