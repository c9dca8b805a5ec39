r"""What a `\boxed{...}` holds, and the text of mathematics without what does not change it."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\boxed\s+[\w.]+|\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\\boxed\s+([\w.]+)")
_JOINT = re.compile(r"[\s$]*(?:,|;|and|or|\\text\{\s*(?:and|or)\s*\})[\s$]*(?:and|or)?[\s$]*")
_JOINT_CHARS = 40

_WORDS = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"
)
_FILL = re.compile(r"\\(?:left|right|displaystyle|quad|qquad|[!,;: ])|[\s$~]")
_FRACTION = re.compile(r"\\[dtc]frac")
_DEGREES = re.compile(r"\^\{?\\circ\}?|\\degree|°")


def last_boxed(text: str) -> str | None:
    r"""The content of the last closed `\boxed{}`, in one pass however it is nested or left open.

    Boxes that stand side by side with a comma or a word between them are one answer:
    `\boxed{1} and \boxed{2}` gives `1, 2`.
    """
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
                boxes.append((start, token.end(), text[content : token.start()]))
    return _joined(text, boxes)


def _joined(text: str, boxes: list[tuple[int, int, str]]) -> str | None:
    if not boxes:
        return None
    contents = [boxes[-1][2]]
    for before, after in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
        between = text[before[1] : after[0]]
        is_joint = len(between) <= _JOINT_CHARS and _JOINT.fullmatch(between)
        if not is_joint or before[2] in contents:
            break
        contents.insert(0, before[2])
    return ", ".join(
        re.sub(r"\\(?:boxed|fbox)\s*(?=\{)", "", content).strip() for content in contents
    )


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
