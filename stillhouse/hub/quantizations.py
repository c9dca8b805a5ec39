"""Which files of a repository are one quantisation, read from the names publishers give them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from stillhouse.errors import ModelNotFound

# UD-Q4_K_XL, Q4_K_M, IQ2_XXS, TQ1_0, BF16 ... at the end of a name, after '-', '.' or '_'.
_QUANTIZATION = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q[0-9](?:_[0-9A-Z]+)*|TQ[0-9]_[0-9]|B?F16|F32))$", re.IGNORECASE
)
_PART = re.compile(r"-([0-9]{5})-of-([0-9]{5})$")
_NOT_WEIGHTS = ("mmproj", "imatrix")
_CONFIG = "config.json"
_OF_A_FOLDER = (
    _CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
)
_WEIGHTS = re.compile(r"model[\w.-]*\.safetensors")
# What most people want, best first, where a repository is named without a quantisation.
_PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "Q4_0", "Q4_1", "Q5_K_M", "Q8_0", "BF16", "F16")


def group(names: Iterable[str]) -> dict[str, list[str]]:
    """GGUF files by stem, the parts of a split file together and in order."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        base = name.rpartition("/")[2]
        if "\\" in base or any(word in base.lower() for word in _NOT_WEIGHTS):
            continue  # a backslash would lead out of the model's folder on Windows
        if base.lower().endswith(".gguf"):
            groups.setdefault(_PART.sub("", base[: -len(".gguf")]), []).append(name)
    return groups


def quantization_of(stem: str) -> str | None:
    """'DeepSeek-R1-UD-IQ1_S' → 'UD-IQ1_S'; None if the name does not say."""
    match = _QUANTIZATION.search(stem)
    return match[1].upper() if match else None


def folder_files(names: Iterable[str]) -> list[str]:
    """What a model of safetensors needs, config.json first; empty where something is missing."""
    found = {name for name in names if name in _OF_A_FOLDER or _WEIGHTS.fullmatch(name)}
    if _CONFIG not in found or not any(map(_WEIGHTS.fullmatch, found)):
        return []
    return [_CONFIG, *sorted(found - {_CONFIG})]


def choose(
    names: Iterable[str], *, repo: str, quantization: str | None, file: str | None
) -> list[str]:
    """The files to fetch, first part first. Raises ModelNotFound with what there is instead.

    Where a repository has no GGUF file, and none is asked for, it is a folder of safetensors.
    """
    names = list(names)
    groups = group(names)
    if not groups:
        files = [] if quantization or file else folder_files(names)
        if files:
            return files
        raise ModelNotFound(f"{repo} holds no GGUF file", hint="look for a repository named …-GGUF")
    if file is not None:
        return _holding(file, groups, repo)
    published = {name: files for stem, files in groups.items() if (name := quantization_of(stem))}
    wanted = [quantization.upper(), f"UD-{quantization.upper()}"] if quantization else _PREFERRED
    for name in wanted:
        if name in published:
            return published[name]
    if quantization is None and len(groups) == 1:
        return next(iter(groups.values()))
    there = ", ".join(published) or ", ".join(groups)
    if quantization is None:
        raise ModelNotFound(f"{repo} holds several models", hint=f"add one of them: {there}")
    raise ModelNotFound(f"{repo} has no {quantization}", hint=f"it has: {there}")


def _holding(file: str, groups: dict[str, list[str]], repo: str) -> list[str]:
    for files in groups.values():
        if file in files:
            return files
    close = difflib.get_close_matches(file, [files[0] for files in groups.values()], n=3)
    raise ModelNotFound(
        f"{repo} has no {file}",
        hint=f"did you mean {', '.join(close)}?" if close else f"it has: {', '.join(groups)}",
    )
