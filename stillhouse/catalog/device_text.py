"""A system as people write it, taken apart: ``2 × H100 80GB``, ``24GB 900GB/s``.

Case, spaces, hyphens and the makers' names never matter. What is left when count, sizes and rates
are taken out is the device's name, as a key of letters and digits.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from stillhouse.errors import UsageError

_LONGEST = 120  # characters of a name that anybody would write

_NUMBER = r"([0-9]{1,7}(?:\.[0-9]{1,6})?)"
# Up to three digits, as four are a model's number.
_COUNT_BEFORE = re.compile(
    r"^\s*(?:([0-9]{1,3})\s*[x*](?!tx?\b)\s*|([0-9]{1,2})\s+(?=[a-z])(?!channel|core|[gt]i?b?\b)|(dual)\b)"
)
_COUNT_AFTER = re.compile(r"\s+[x*]\s*([0-9]{1,3})\s*$")
_UNIT = r"\s*([gt])i?b"
# "A100 80G" is a size as well; "A10G" and "4080 Ti" are none.
_BARE_GIGA = re.compile(r"(?<![a-z0-9.])([0-9]{1,7})\s?g(?![a-z0-9])")
_BANDWIDTH = re.compile(_NUMBER + _UNIT + r"\s*(?:/\s*s(?:ec)?|ps|per\s+second)(?![a-z0-9])")
_COMPUTE = re.compile(_NUMBER + r"\s*t(?:era)?flop(?:s|/s)?(?![a-z0-9])")
_RAM = re.compile(_NUMBER + _UNIT + r"\s*(?:of\s+)?(?:system\s+|main\s+)?ram(?![a-z0-9])")
_MEMORY = re.compile(r"(?<![0-9.])" + _NUMBER + _UNIT + r"(?![a-z0-9])")
# A Mac's model says nothing that its chip does not.
_MAC = re.compile(r"\b(?:mac\s*book\s*(?:pro|air)|mac\s*(?:studio|mini|pro)|imac)\b")
_WORDS = re.compile(r"[a-z0-9]+")
_MAKERS = ("nvidia", "geforce", "amd", "radeon", "intel", "apple", "instinct", "tesla")
_FILLERS = frozenset(_MAKERS) | {
    *("gpu", "gpus", "cpu", "cpus", "graphics", "card", "chip", "core", "generation"),
    *("r", "tm", "w", "with", "and", "of", "vram", "memory", "unified"),
}
_SPELLINGS = {"mobile": "laptop", "notebook": "laptop"}


@dataclass(frozen=True, slots=True)
class DeviceText:
    """The parts of a system's text; sizes in GiB, as memory is sold, and rates in GB/s."""

    shown: str  # the text as an error may quote it: one printable line
    count: int
    key: str  # of the device's name; empty where only figures were given
    words: frozenset[str]  # of the name, to find names that are like it
    memory_gib: float | None
    ram_gib: float | None
    gb_per_s: float | None
    fp16_tflops: float | None


def parse_device_text(text: str) -> DeviceText:
    """The parts of ``text``. Raises UsageError for what contradicts itself or is far too long."""
    shown = _one_line(text)
    if not shown or len(shown) > _LONGEST:
        raise UsageError(
            "a device needs a name" if not shown else f"no device is called '{shown[:40]}…'",
            hint="name it as 'RTX 4090', '2x RTX 3090', 'M4 Max 48GB' or '24GB 900GB/s'",
        )
    # "RTX-4090" and "rtx_4090" are two words; "24GB@900GB/s" keeps its slash.
    rest = re.sub(r"[-_,;+&()@:|]", " ", _plain(shown))
    rest, count = _count(rest, shown)
    rest = _BARE_GIGA.sub(r"\1gb", rest)
    rest, bandwidths = _take(_BANDWIDTH, rest)
    rest, computes = _take(_COMPUTE, rest)
    rest, rams = _take(_RAM, rest)
    rest, memories = _take(_MEMORY, rest)
    for found, what in (
        (bandwidths, "bandwidths"),
        (computes, "figures of compute"),
        (rams, "sizes of RAM"),
        (memories, "memory sizes"),
    ):
        if len(found) > 1:
            raise UsageError(f"'{shown}' gives two {what}", hint="name one system at a time")
    words = _name_words(rest)
    return DeviceText(
        shown=shown,
        count=count,
        key=_key(words),
        words=frozenset(words),
        memory_gib=_scaled(memories, 1024),
        ram_gib=_scaled(rams, 1024),
        gb_per_s=_scaled(bandwidths, 1000),
        fp16_tflops=_scaled(computes, 1),
    )


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _plain(shown: str) -> str:
    """Lower case in plain characters: full-width digits, "×" and "™" as people paste them."""
    for sign, plain in (("×", "x"), ("™", " "), ("®", " ")):
        shown = shown.replace(sign, plain)
    return unicodedata.normalize("NFKC", shown).lower()


def _count(rest: str, shown: str) -> tuple[str, int]:
    before, after = _COUNT_BEFORE.match(rest), _COUNT_AFTER.search(rest)
    count = 1
    if before is not None:
        with_x, plain, dual = before.groups()
        count *= 2 if dual else int(with_x or plain)
        rest = rest[before.end() :]
    elif after is not None:
        count *= int(after[1])
        rest = rest[: after.start()]
    if not count:
        raise UsageError(f"'{shown}' means 0 devices", hint="name from 1 to 999 of them")
    return rest, count


def _take(pattern: re.Pattern[str], rest: str) -> tuple[str, list[tuple[str, str]]]:
    """``rest`` without what matches, and the number and the prefix of its unit of each match."""
    found: list[tuple[str, str]] = []

    def remember(match: re.Match[str]) -> str:
        found.append((match[1], match[2] if pattern.groups > 1 else ""))
        return " "

    return pattern.sub(remember, rest), found


def _scaled(found: list[tuple[str, str]], thousand: int) -> float | None:
    return float(found[0][0]) * (thousand if found[0][1] == "t" else 1) if found else None


def _name_words(rest: str) -> list[str]:
    words = [_SPELLINGS.get(word, word) for word in _WORDS.findall(_MAC.sub(" ", rest))]
    # "CPU" alone is a name; beside another it is not.
    return [word for word in words if word not in _FILLERS] or ["cpu"] * ("cpu" in words)


def _key(words: list[str]) -> str:
    key = "".join(words)
    while maker := next((one for one in _MAKERS if key.startswith(one)), ""):
        key = key[len(maker) :]
    return key
