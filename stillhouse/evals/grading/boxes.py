r"""What a `\boxed{...}` holds, and the text of mathematics without what does not change it."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\boxed\s+[\w.]+|\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\\boxed\s+([\w.]+)")
# Between boxes of one answer, once spaces, dollars and emphasis are gone: "," "and" "orx=".
_AROUND = re.compile(
    r"[\s$*{}~]|\\(?:q?quad(?![a-z])|[()\[\],;:! ]|(?:text|textbf|textrm|mathrm|mbox)(?=\{))"
)
_JOINT = re.compile(r"(?:[,;]|[,;]?(?:and|or|&))(?:([A-Za-z])(?:_?\w)?=)?")
_NAME = re.compile(r"(?<![A-Za-z])([A-Za-z])(?:_\{?\w\}?)?\s{0,3}=[\s$]{0,3}$")
_JOINT_CHARS = 40
_BLANK = re.compile(r"(?:[\s${}~]|\\(?:q?quad(?![a-z])|[,;:! ]|text(?=\{)))*+")

_WORDS = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"
)
_FILL = re.compile(r"\\(?:left|right|displaystyle|quad|qquad|[!,;: ])|[\s$~]")
_FRACTION = re.compile(r"\\[dtc]frac")
_DEGREES = re.compile(r"\^\{?\\circ\}?|\\degree|°")


def last_boxed(text: str) -> str | None:
    r"""The content of the last closed `\boxed{}` that is not blank.

    Boxes that stand side by side with a comma or a word between them are one answer:
    `\boxed{1} and \boxed{2}` gives `1, 2`.
    """
    return ", ".join(last_boxes(text)) or None


def last_boxes(text: str) -> list[str]:
    r"""The boxes of the last answer, each apart; in one pass, however nested or left open."""
    open_braces: list[tuple[int, int] | None] = []  # where a box and its content begin
    depth_in_boxes = 0
    boxes: list[tuple[int, int, str]] = []
    for token in _TOKEN.finditer(text):
        found = token.group()
        if bare := _BARE.fullmatch(found):
            if depth_in_boxes == 0:
                boxes.append((token.start(), token.end(), bare.group(1).rstrip(".")))
        elif found.endswith("{") and found != "\\{":
            is_box = found != "{"
            open_braces.append((token.start(), token.end()) if is_box else None)
            depth_in_boxes += is_box
        elif found == "}" and open_braces:
            opened = open_braces.pop()
            if opened is not None:
                depth_in_boxes -= 1
                start, content = opened
                # A box around boxes replaces them.
                while boxes and boxes[-1][0] > start:
                    boxes.pop()
                if not _BLANK.fullmatch(text, content, token.start()):
                    boxes.append((start, token.end(), text[content : token.start()]))
    return _joined(text, boxes)


def _joined(text: str, boxes: list[tuple[int, int, str]]) -> list[str]:
    contents = [content for _, _, content in boxes[-1:]]
    seen = set(contents)
    for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        if before[2] in seen or not _are_joint(text, before, after):
            break
        contents.append(before[2])
        seen.add(before[2])
    return [
        re.sub(r"\\(?:boxed|fbox)\s*(?=\{)", "", content).strip() for content in reversed(contents)
    ]


def _are_joint(text: str, before: tuple[int, int, str], after: tuple[int, int, str]) -> bool:
    if after[0] - before[1] > _JOINT_CHARS:
        return False
    joint = _JOINT.fullmatch(_AROUND.sub("", text[before[1] : after[0]]))
    if joint is None:
        return False
    # "x = 1 or x = 2" has two values; "x = 1, y = 2" is of two things, and the last is the answer.
    name = _NAME.search(text[max(0, before[0] - 12) : before[0]])
    return name is None or joint[1] is None or name[1] == joint[1]


def plain(mathematics: str) -> str:
    r"""For comparison as text: no spaces, `\text` and `\left` gone, one kind of fraction."""
    text = _WORDS.sub(r"\1", mathematics)
    text = _DEGREES.sub("", _FRACTION.sub(r"\\frac", text))
    text = _FILL.sub("", text).replace("{,}", ",").rstrip(".")
    if re.fullmatch(r"\([A-Za-z]\)", text):
        text = text[1]
    # Words are the same in capitals; the variables x and X are not.
    return text.casefold() if len(text) > 1 and text.isalpha() else text


def are_words(gold: str) -> bool:
    r"""Whether the right answer is no mathematics: `\text{east}`, `\text{(C)}`."""
    return gold.strip().startswith("\\text") and plain(gold).isalpha()
