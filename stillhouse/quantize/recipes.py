"""Recipes: which format every matrix of a model gets, by a name, or as a user wrote it.

A file of one's own is TOML::

    base = "Q4_K_M"                  # a recipe by name, or one format for all
    [tensors]
    "*.ffn_down.weight" = "Q6_K"     # the first pattern that matches decides
    're:blk\\\\.[0-3]\\\\..*' = "Q8_0"

Patterns are those of shells, or regular expressions of the whole name behind "re:".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from stillhouse.catalog.shapes import Shape
from stillhouse.encodings import ENCODINGS, Encoding, by_name
from stillhouse.errors import UsageError
from stillhouse.kernels.quantizers import has_quantizer
from stillhouse.models.mixture import Mixture
from stillhouse.models.mixtures import MIXTURES
from stillhouse.models.tensors import matrices

# Enum llama_ftype of llama.cpp's include/llama.h: general.file_type.
_FILE_TYPES = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q8_0": 7,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q2_K": 10,
    "Q3_K_S": 11,
    "Q3_K_M": 12,
    "Q3_K_L": 13,
    "Q4_K_S": 14,
    "Q4_K_M": 15,
    "Q5_K_S": 16,
    "Q5_K_M": 17,
    "Q6_K": 18,
    "IQ2_XXS": 19,
    "IQ2_XS": 20,
    "Q2_K_S": 21,
    "IQ3_XS": 22,
    "IQ3_XXS": 23,
    "IQ1_S": 24,
    "IQ4_NL": 25,
    "IQ3_S": 26,
    "IQ3_M": 27,
    "IQ2_S": 28,
    "IQ2_M": 29,
    "IQ4_XS": 30,
    "IQ1_M": 31,
    "BF16": 32,
    "TQ1_0": 36,
    "TQ2_0": 37,
}
# Mixtures that differ from llama.cpp's in their tables alone are files of the same type to it.
_LIKE = {
    "Q2_K_L": "Q2_K",
    "Q3_K_XL": "Q3_K_L",
    "Q4_K_L": "Q4_K_M",
    "Q5_K_L": "Q5_K_M",
    "Q6_K_L": "Q6_K",
}
_PLAIN = {"Q3_K": "Q3_K_S", "Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S"}
_KEYS = {"name", "base", "tensors"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A mixture, and what is changed of it by patterns, in their order."""

    name: str
    base: Mixture
    patterns: Mapping[str, str]

    @property
    def file_type(self) -> int:
        """What `general.file_type` says."""
        name = _LIKE.get(self.base.name, self.base.name)
        return _FILE_TYPES[_PLAIN.get(name, name)]

    def encodings(self, shape: Shape, *, imatrix: bool) -> dict[str, Encoding]:
        """The format of every tensor by GGUF name. F32 for what is no matrix.

        Raises UsageError for a pattern that changes nothing, and for a format that does not fit.
        """
        chosen = self.base.encodings(shape, imatrix=imatrix)
        names = [*matrices(shape)]
        if "token_embd.weight" not in names:
            names.insert(0, "token_embd.weight")
        taken: set[str] = set()
        for pattern, wanted in self.patterns.items():
            found = [name for name in names if _matcher(pattern)(name)]
            if not found:
                raise UsageError(
                    f"recipe {self.name}: no matrix of the model matches '{pattern}'",
                    hint=f"there are {', '.join(_near(pattern, names))}",
                )
            if taken.issuperset(found):
                raise UsageError(
                    f"recipe {self.name}: what '{pattern}' matches, earlier patterns match too",
                    hint="the first pattern that matches decides: the narrower one goes first",
                )
            for name in found:
                if name not in taken:
                    chosen[name] = _fitting(self.name, name, wanted, shape)
            taken.update(found)
        return chosen


def recipe(text: str) -> Recipe:
    """The recipe of that name, or in the file of that name. Raises UsageError."""
    path = Path(text)
    if path.suffix == ".toml":
        return read_recipe(path)
    name = text.upper()
    if name in MIXTURES and _is_known(MIXTURES[name]):
        return Recipe(name, MIXTURES[name], {})
    raise UsageError(
        f"'{text}' is no recipe", hint=f"known: {', '.join(known_recipes())}; or a FILE.toml"
    )


def known_recipes() -> list[str]:
    """Names of recipes for GGUF files whose formats are written here, as people type them."""
    return [
        name.lower()
        for name, mixture in MIXTURES.items()
        if _is_known(mixture, name) and has_quantizer(mixture.base)
    ]


def read_recipe(path: Path) -> Recipe:
    """A user's own recipe. Raises UsageError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {path} is not TOML: {error}") from error
    return parse_recipe(document, path.stem)


def parse_recipe(document: Mapping[str, object], default_name: str) -> Recipe:
    """The same from TOML's values. Raises UsageError."""
    name = document.get("name", default_name)
    if not isinstance(name, str):
        raise UsageError(f"recipe {default_name}: its name is no string")
    unknown = sorted(document.keys() - _KEYS)
    if unknown:
        raise UsageError(
            f"recipe {name}: '{unknown[0]}' is no key of a recipe",
            hint="its keys are base, tensors and name",
        )
    base, tensors = document.get("base"), document.get("tensors", {})
    if not isinstance(base, str):
        raise UsageError(
            f"recipe {name} has no base", hint='as base = "Q4_K_M": for what no pattern matches'
        )
    if not isinstance(tensors, Mapping):
        raise UsageError(f"recipe {name}: tensors is no table of patterns")
    patterns = {}
    for pattern, wanted in tensors.items():
        _matcher(str(pattern))
        patterns[str(pattern)] = _format(name, wanted)
    return Recipe(name, _base(name, base), patterns)


def _is_known(mixture: Mixture, key: str = "") -> bool:
    """Whether it is one for any model: not a repository's own."""
    return "/" not in key and _LIKE.get(mixture.name, mixture.name) in _FILE_TYPES


def _base(recipe_name: str, text: str) -> Mixture:
    name = text.upper()
    if name in MIXTURES and _is_known(MIXTURES[name], name):
        return MIXTURES[name]
    if name in _PLAIN:
        return Mixture(name, name, (), None, None, "one format for all")
    raise UsageError(
        f"recipe {recipe_name}: its base '{text}' is neither a recipe nor a format",
        hint=f"known: {', '.join([*known_recipes(), *map(str.lower, _PLAIN)])}",
    )


def _format(recipe_name: str, wanted: object) -> str:
    names = [encoding.name for encoding in ENCODINGS]
    if not isinstance(wanted, str) or wanted.upper() not in names:
        raise UsageError(
            f"recipe {recipe_name}: {wanted!r} is no format of tensors",
            hint=f"known: {', '.join(names)}",
        )
    return wanted.upper()


def _matcher(pattern: str) -> Callable[[str], bool]:
    if not pattern.startswith("re:"):
        return lambda name: fnmatchcase(name, pattern)
    try:
        expression = re.compile(pattern[3:])
    except re.error as error:
        raise UsageError(f"the pattern '{pattern}' is no regular expression: {error}") from error
    return lambda name: expression.fullmatch(name) is not None


def _fitting(recipe_name: str, name: str, wanted: str, shape: Shape) -> Encoding:
    encoding = by_name(wanted)
    columns = {"token_embd.weight": (0, shape.hidden_size), **matrices(shape)}[name][-1]
    if columns % encoding.block_size:
        raise UsageError(
            f"recipe {recipe_name}: {name} has rows of {columns}, and {wanted} takes"
            f" {encoding.block_size} numbers at a time",
            hint="Q4_0 to Q8_0 and IQ4_NL take 32",
        )
    return encoding


def _near(pattern: str, names: list[str]) -> list[str]:
    return get_close_matches(pattern.removeprefix("re:"), names, n=3, cutoff=0.3) or names[:3]
