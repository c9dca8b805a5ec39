"""Models and quantisations as people write them: `70B`, `R1-0528 8B`, `Q4`, `1.58-bit`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from stillhouse.catalog import Model, find, models
from stillhouse.errors import ModelNotFound, UsageError
from stillhouse.planner.weights import predicted_weights

_BY_SIZE: Mapping[str, str] = {
    "1.5": "r1-distill-qwen-1.5b",
    "7": "r1-distill-qwen-7b",
    "8": "r1-0528-qwen3-8b",
    "14": "r1-distill-qwen-14b",
    "32": "r1-distill-qwen-32b",
    "70": "r1-distill-llama-70b",
    "671": "r1-671b",
}
_SIZE = re.compile(r"(?<![\w.])(1\.5|7|8|14|32|70|671)\s?b(?![\w/])")
_NAMED = re.compile(r"(?<![\w.])[a-z][a-z0-9]*[a-z0-9.]*(?:[:-][a-z0-9._]+)+|(?<![\w.])smollm2")
_DATE = re.compile(r"(?<!\d)0528(?!\d)")
_WHOLE = re.compile(r"(?<![\w-])(?:deepseek[- ])?r1(?![\w-])")
_FAMILY_WORDS = re.compile(
    r"(?<![\w-])(?:deepseek(?:[- ]ai)?|r1|distill(?:ed|s)?|qwen(?:2\.5|3)?"
    r"|llama(?:[- ]3(?:\.[13])?)?|full|moe|gguf|instruct|models?)(?![\w])"
)

# What a rounded number of bits is taken for; the odd ones are the 671B's dynamic files.
_BY_BITS: Mapping[str, str] = {
    "1.58": "UD-IQ1_S",
    "1.73": "UD-IQ1_M",
    "2.22": "UD-IQ2_XXS",
    "2.51": "UD-Q2_K_XL",
    "2": "Q2_K",
    "3": "Q3_K_M",
    "4": "Q4_K_M",
    "5": "Q5_K_M",
    "6": "Q6_K",
    "8": "Q8_0",
    "16": "F16",
    "fp16": "F16",
    "w8a8": "INT8",
    "int4": "W4A16",
    "awq": "W4A16",
    "gptq": "W4A16",
}
_BITS = re.compile(r"(?<![\w.])(\d(?:\.\d\d)?|16)[\s-]?bits?(?!\w)")
_TYPE = re.compile(
    r"(?<![\w.])((?:ud-)?(?:iq|tq|q)[1-8](?:_[a-z0-9]+)*|bf16|fp16|f16|fp8|int8|int4|w4a16|w8a8|awq"
    r"|gptq)(?!\w)"
)


class NamedModel(NamedTuple):
    """A model, a quantisation that came with its name, the rest of the text, and what was taken."""

    model: Model
    quantization: str | None
    rest: str
    notes: tuple[str, ...]


class NamedQuantization(NamedTuple):
    """A quantisation that the model is known in; the rest of the text, and what was taken."""

    quantization: str
    was_said: bool
    rest: str
    notes: tuple[str, ...]


def take_model(text: str) -> NamedModel | None:
    """The first model in lower-case `text`, taken out of it; None where there is none."""
    for match in _NAMED.finditer(text):
        try:
            found = find(match[0].rstrip(".:"))
        except ModelNotFound:
            continue
        if match[0].endswith("0528") and _SIZE.search(text):
            continue  # "R1-0528 8B": the size says which
        rest = text[: match.start()] + " " + text[match.end() :]
        said = match[0].endswith(found.quantization.lower())
        notes = (found.note,) if found.note else ()
        quantization = found.quantization if said else None
        return NamedModel(found.model, quantization, _FAMILY_WORDS.sub(" ", rest), notes)
    sized = _SIZE.search(text)
    whole = sized or _WHOLE.search(text)
    if whole is None:
        return None
    size = sized[1] if sized else "671"
    name, note = _BY_SIZE[size], None
    if size == "8" and "llama" in text:
        name = "r1-distill-llama-8b"
    elif size == "8" and not _DATE.search(text) and "qwen" not in text:
        note = "8B is taken for R1-0528-Qwen3-8B; R1-Distill-Llama-8B could be meant"
    elif size == "671" and _DATE.search(text):
        name = "r1-0528-671b"
    if sized is None:
        note = "R1 without a size is taken for the 671B"
    model = next(one for one in models() if one.name == name)
    rest = text[: whole.start()] + " " + text[whole.end() :]
    # "R1-0528" leaves "-0528" behind.
    rest = _FAMILY_WORDS.sub(" ", _DATE.sub(" ", rest))
    return NamedModel(model, None, rest, (note,) if note else ())


def take_quantization(text: str, model: Model, said: str | None) -> NamedQuantization:
    """The quantisation in lower-case `text`; Q4_K_M where there is none.

    Raises UsageError for one that this model's size is not known in.
    """
    match = None if said else _TYPE.search(text) or _BITS.search(text)
    if said is None and match is None:
        note = "no quantisation is said: Q4_K_M is taken"
        return NamedQuantization(_known(model, "Q4_K_M"), False, text, (note,))
    if match is None:
        assert said is not None
        return NamedQuantization(_known(model, said), True, text, ())
    name = _BY_BITS.get(re.sub("^q(?=[2-8]$)", "", match[1]), match[1].upper())
    known = _known(model, name)
    rest = text[: match.start()] + " " + text[match.end() :]
    is_other = known.removeprefix("UD-") != match[1].upper().removeprefix("UD-")
    notes = (f"{match[0].strip()} is taken for {known}",) if is_other else ()
    return NamedQuantization(known, True, rest, notes)


def _known(model: Model, name: str) -> str:
    for spelling in (name, f"UD-{name}"):
        try:
            predicted_weights(model, spelling)
        except UsageError:
            continue
        return spelling
    raise UsageError(
        f"how large {model.title} is in {name} is not known",
        hint=f"known of it: {', '.join(model.quantizations[:8]).lower()}",
    )
