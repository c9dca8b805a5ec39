"""A claim as people write it, taken apart: "70B Q4 on M4 Max: 100 tok/s"."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from stillhouse.catalog import Model, System, Verdict, find_device
from stillhouse.catalog.devices import GIB, unnamed_device
from stillhouse.errors import UsageError
from stillhouse.planner.claim_names import take_model, take_quantization

EXAMPLE = 'write it as "70B Q4 on M4 Max: 100 tok/s" or "14B on RTX 3060: fits with 8K context"'

_LONGEST = 300  # characters of a claim that anybody would write
_N = r"(\d{1,9}(?:\.\d{1,6})?)"
_SPEED = re.compile(
    rf"~?{_N}(?:\s*(?:-|to)\s*{_N})?\s*(?:tok(?:en)?s?|t)\s*(?:/|per|a)\s*s(?:ec(?:ond)?)?(?!\w)"
    rf"|~?{_N}\s*tps(?!\w)"
)
_EACH = re.compile(r"(?<!\w)(?:each|(?:per|a|/)\s*(?:user|stream|request))(?!\w)")
_TTFT = re.compile(
    rf"{_N}\s*(ms|s|seconds?)\s*(?:of\s+)?(?:ttft|(?:to|until)\s+(?:the\s+)?first\s+token)"
    rf"|ttft\s*(?:of|is|:|=)?\s*~?{_N}\s*(ms|s)(?!\w)"
)
_USERS = re.compile(
    r"(?<![\w.])(\d{1,5})\s*(?:concurrent|parallel|simultaneous)?\s*"
    r"(?:users?|streams?|requests?|clients?|sequences?|chats?)(?!\w)"
    r"|(?<!\w)batch(?:\s*size)?\s*(?:of|:|=)?\s*(\d{1,5})(?!\w)"
    r"|(?<!\w)x\s?(\d{1,5})(?![\w.])"
)
_TIMES = re.compile(r"(?<!\w)x\s?\d{1,5}(?![\w.])")
_CONTEXT = re.compile(
    rf"(?<![\w.]){_N}\s*(k?)[\s-]*(?:tokens?\s*(?:of\s+)?)?(?:context|ctx)(?!\w)"
    rf"|(?<!\w)(?:context|ctx)\s*(?:of|is|:|=)?\s*{_N}\s*(k?)(?:\s*tokens?)?(?!\w)"
)
_PROMPT = re.compile(
    rf"(?<![\w.]){_N}\s*(k?)[\s-]*(?:tokens?\s*(?:of\s+)?)?prompts?(?!\w)"
    rf"|(?<!\w)prompts?\s*(?:of|is|:|=)?\s*{_N}\s*(k?)(?:\s*tokens?)?(?!\w)"
)
_GB = rf"{_N}\s*([gm])i?b"
_OF_MEMORY = r"(?:\s*(?:of\s+)?(?:unified\s+|main\s+|system\s+)?(?:v?ram|memory))?(?![\w/])"
_NEEDS = re.compile(
    rf"(?<!\w)(?:needs?|requires?|takes?|uses?)\s*(?:only|about|around|less\s+than|under|at\s+least)?\s*~?{_GB}{_OF_MEMORY}"
)
_EXCEEDS = re.compile(
    rf"(?<!\w)(?:exceeds?|(?:needs?|takes?|is)\s+more\s+than)\s*{_GB}{_OF_MEMORY}"
)
_MACS = re.compile(
    r"(?<!\w)exceeds?\s+(?:the\s+)?(?:unified\s+)?(?:memory\s+of\s+)?(?:most\s+)?macs?\b['’]?s?"
    r"(?:\s*(?:unified\s+)?memory)?"
)
_NOT = re.compile(
    r"(?<!\w)(?:(?:does|do|will|can)(?:\s*not|n['’]?t)|can['’]?t|won['’]?t|not)\s+(?:quite\s+)?"
    r"(?:fit|run|hold|work)s?(?!\w)|(?<!\w)(?:too\s+(?:large|big)|out\s+of\s+memory)(?!\w)"
)
_MARGINAL = re.compile(r"(?<!\w)(?:(?:is\s+)?marginal(?:ly)?|barely(?:\s+fits)?|tight)(?!\w)")
_FITS = re.compile(r"(?<!\w)(?:(?:is\s+)?comfortabl[ey]|fits?|runs?|holds?|works?|enough)(?!\w)")
_HOLDS = re.compile(r"(?<!\w)(?:fits?|holds?|comfortabl[ey]|enough)(?!\w)")
_SCORE = re.compile(
    r"(?<!\w)(math[- ]?500|aime(?:\s*'?(?:20)?24)?|gpqa(?:[- ]diamond)?|live\s?code\s?bench)(?!\w)"
)
_NO_RATE = 1e-6  # GB/s of memory that is named by its size alone
_SCORES = {"math": "math_500", "aime": "aime_2024", "gpqa": "gpqa_diamond"}
_VALUE = re.compile(r"(?<![\w.])~?(\d{1,3}(?:\.\d{1,2})?)\s*%?(?![\w.])")
_START = re.compile(r"(?:(?<!\w)(?:on|in|into|within|onto)(?!\w)|[@,:;|(])")
_BARE = re.compile(
    rf"\s*(?:an?\s+|the\s+)?{_GB}(?!\w|/)(?:\s*(?:of\s+)?(vram|ram|memory|gpu|card|cpu)(?!\w))?"
)
_STOP = re.compile(r"[,:;()@|]")
_MOST_STARTS = 12  # of a device in one claim
_SIZE_AFTER = re.compile(r"[\s,(|]*(\d+\s?[gt]b(?:\s*(?:of\s+)?ram)?)(?!\w|/)")
_ARTICLES = ("a", "an", "the", "one", "my", "your", "our", "single")
_FILLERS = re.compile(r"(?<!\w)(?:on|at|in|with|a|an|the|of|is|for|and|pass@1|score)(?!\w)")


@dataclass(frozen=True, slots=True)
class Claim:
    """What was said of one model, and what was taken where the text leaves it open.

    `system` is None where no device is named. Rates are of all users together.
    """

    text: str
    model: Model
    quantization: str
    system: System | None
    users: int = 1
    tokens_per_s_low: float | None = None
    tokens_per_s_high: float | None = None
    ttft_s: float | None = None
    prompt_tokens: int | None = None
    context_tokens: int | None = None
    fit: Verdict | None = None
    needs_bytes: int | None = None
    score: tuple[str, float] | None = None  # a field of the catalogue's scores, in percent
    was_quantization_said: bool = True
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        if self.system is None:
            return "no device"
        if self.system.device.rate_gbps <= _NO_RATE:
            return f"{self.system.memory_bytes / GIB:g} GB"
        return self.system.name


def parse_claim(text: str) -> Claim:
    """Raises UsageError, with an example, for what cannot be understood."""
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if not shown or len(shown) > _LONGEST:
        raise UsageError("a claim is a line of text" if not shown else "too long", hint=EXAMPLE)
    rest, notes = _plain(shown), list[str]()
    benchmark, rest = _take(_SCORE, rest)
    speed, rest = _take(_SPEED, rest)
    ttft, rest = _take(_TTFT, rest)
    context, rest = _take(_CONTEXT, rest)
    prompt, rest = _take(_PROMPT, rest)
    macs, rest = _take(_MACS, rest)
    exceeds, rest = _take(_EXCEEDS, rest)
    needs, rest = _take(_NEEDS, rest)
    each, rest = _take(_EACH, rest)
    users_found, rest = _take(_USERS, rest)
    fit, rest = _fit_of(rest)
    if (speed or ttft) and fit == "fits" and not _HOLDS.search(shown.lower()):
        fit = None  # "it runs at": no claim of its own
    users = int(users_found[0]) if users_found else 1
    if not 0 < users <= 10_000:
        raise UsageError(f"{users} users cannot be meant", hint=EXAMPLE)
    system, device_error, rest = _take_device(rest)
    if macs is not None:
        system, fit = find_device("M1 8GB"), "does_not_fit"
        notes.append("the smallest Mac is taken for 'most Macs': 8 GB")
    elif exceeds is not None:
        system, fit = _of_memory(*exceeds), "does_not_fit"
    named = take_model(rest)
    if named is None:
        raise device_error or UsageError(f"no model is named in '{shown[:80]}'", hint=EXAMPLE)
    quantized = take_quantization(named.rest, named.model, named.quantization)
    if _TIMES.search(_plain(shown)):
        notes.append(f"x{users} is taken for {users} users; {users}x before a name are devices")
    notes += [*named.notes, *quantized.notes]
    if system is not None and system.note:
        notes.append(system.note)
    low = high = None
    if speed is not None:
        numbers = [float(number) for number in speed]
        low, high = min(numbers), max(numbers)
        if each is not None and users > 1:
            low, high = users * low, users * high
        elif users > 1:
            notes.append("the speed is taken for that of all users together")
    score = _score_of(benchmark, quantized.rest)
    if not any((speed, ttft, needs, fit, score)):
        if system is None:
            raise device_error or UsageError(f"nothing is claimed in '{shown[:80]}'", hint=EXAMPLE)
        fit = "fits"
        notes.append("nothing is said to be reached: that it runs is taken for the claim")
    if system is None and needs is None and score is None:
        raise device_error or UsageError(f"no device is named in '{shown[:80]}'", hint=EXAMPLE)
    claim = Claim(
        text=shown,
        model=named.model,
        quantization=quantized.quantization,
        system=system,
        users=users,
        tokens_per_s_low=low,
        tokens_per_s_high=high,
        ttft_s=None if ttft is None else float(ttft[0]) * (1e-3 if ttft[1] == "ms" else 1),
        prompt_tokens=_tokens(prompt),
        context_tokens=_tokens(context),
        fit=fit,
        needs_bytes=None if needs is None else _bytes(*needs),
        score=score,
        was_quantization_said=quantized.was_said,
        notes=tuple(notes),
    )
    _check(claim)
    return claim


def _check(claim: Claim) -> None:
    context = claim.context_tokens
    if context is not None and not 1 <= context <= claim.model.context_tokens:
        raise UsageError(
            f"a context of {context} tokens is claimed, and {claim.model.title} has"
            f" {claim.model.context_tokens}"
        )
    bare = claim.system is not None and claim.system.device.rate_gbps <= _NO_RATE
    if bare and (claim.tokens_per_s_low is not None or claim.ttft_s is not None):
        raise UsageError("a speed is claimed of memory whose bandwidth is not said", hint=EXAMPLE)


def _plain(shown: str) -> str:
    for sign, plain in (("×", "x"), ("–", "-"), ("—", " , "), ("™", " "), ("®", " "), ("≈", "~")):
        shown = shown.replace(sign, plain)
    shown = unicodedata.normalize("NFKC", shown).lower()
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", shown)


def _take(pattern: re.Pattern[str], rest: str) -> tuple[list[str] | None, str]:
    """The groups of the first match, and the text without it."""
    match = pattern.search(rest)
    if match is None:
        return None, rest
    groups = [group for group in match.groups() if group is not None]
    return groups, f"{rest[: match.start()]} , {rest[match.end() :]}"


def _fit_of(rest: str) -> tuple[Verdict | None, str]:
    verdicts: tuple[tuple[re.Pattern[str], Verdict], ...] = (
        (_NOT, "does_not_fit"),
        (_MARGINAL, "marginal"),
        (_FITS, "fits"),
    )
    said: Verdict | None = None
    for pattern, verdict in verdicts:
        found, rest = _take(pattern, rest)
        if found is not None and said is None:
            said = verdict
    return said, rest


def _take_device(rest: str) -> tuple[System | None, UsageError | None, str]:
    """The device after "on", "@" or a comma, in as many words as name one; else why there is none.

    The largest and fastest of several that may be meant: what it cannot do none of them can. A size
    of memory alone is taken where nothing has a name.
    """
    error: UsageError | None = None
    starts = [0, *(match.end() for match in _START.finditer(rest))][:_MOST_STARTS]
    starts = [*starts[1:], 0]
    for start in starts:
        spans = _words(rest, start)
        for count in range(len(spans), 0, -1):
            begin, end = spans[0][0], spans[count - 1][1]
            try:
                system = find_device(rest[begin:end], largest=True)
            except UsageError as failure:
                if count == len(spans) and rest[:start].rstrip().endswith((" on", "@")):
                    error = error or failure
                continue
            size = _SIZE_AFTER.match(rest, end)
            if size is not None:  # "EPYC, 384 GB"; where it has no such size, the error says so
                system = find_device(f"{rest[begin:end]} {size[1]}", largest=True)
                end = size.end()
            return system, None, f"{rest[:begin]} , {rest[end:]}"
    for start in starts if error is None else ():
        bare = _BARE.match(rest, start)
        if bare is not None:
            return _of_memory(*bare.groups()), None, f"{rest[:start]} , {rest[bare.end() :]}"
    return None, error, rest


def _words(rest: str, start: int) -> list[tuple[int, int]]:
    """Where up to eight words lie, until a sign that ends a name; not the small ones before it."""
    stop = _STOP.search(rest, start)
    end = stop.start() if stop else len(rest)
    spans = [match.span() for match in re.compile(r"\S+").finditer(rest, start, end)]
    while spans and rest[slice(*spans[0])] in _ARTICLES:
        spans = spans[1:]
    return spans[:8]


def _of_memory(number: str, prefix: str, kind: str | None = None) -> System:
    """So much memory, as it is sold; with a bandwidth only if it is main memory."""
    gib = float(number) / (1024 if prefix == "m" else 1)
    if not 0.01 <= gib <= 65536:
        raise UsageError(f"{number} {prefix.upper()}B of memory cannot be meant", hint=EXAMPLE)
    if kind in ("ram", "cpu") and gib >= 0.5:
        return find_device(f"CPU {gib:g}GB")
    device = unnamed_device(gib, _NO_RATE)
    return System(device, 1, int(gib * GIB), None, None)


def _bytes(number: str, prefix: str) -> int:
    """What is sold as a GB of memory: more than a decimal one, in the claim's favour."""
    return int(float(number) * (GIB if prefix == "g" else GIB // 1024))


def _tokens(found: list[str] | None) -> int | None:
    if found is None:
        return None
    number, *kilo = found
    return int(float(number) * (1024 if kilo and kilo[0] else 1))


def _score_of(benchmark: list[str] | None, rest: str) -> tuple[str, float] | None:
    if benchmark is None:
        return None
    values = [float(match[1]) for match in _VALUE.finditer(_FILLERS.sub(" ", rest))]
    field = _SCORES.get(benchmark[0][:4], "live_code_bench")
    return (field, values[0]) if values and values[0] <= 100 else None
