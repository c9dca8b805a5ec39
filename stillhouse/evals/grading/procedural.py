"""reasoning-gym's tasks, scored by their own `score_answer`, in the graders' own process.

Some of its scorers hand the model's text to `eval`, or to sympy's `parse_expr`, which is no better.
Here those names mean something that reads values and formulas only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import reasoning_gym
import sympy
from sympy.parsing import sympy_parser

_FORMULA = re.compile(r"[\w\s+\-*/^().,=<>!|%]*")
_NAME = re.compile(r"[^\W\d]\w*")
_ATTRIBUTE = re.compile(r"[\w)\]]\s*\.\s*[^\W\d]")
# Beside them names of one letter, with or without a number: C, x, y2.
_NAMES = frozenset(
    [
        *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("exp", "log", "ln", "sqrt", "Abs", "abs", "pi", "oo", "erf", "Ei", "Si", "Ci", "li"),
        *("Rational", "Integer", "Float", "Symbol"),
    ]
)
_parse_expr = sympy_parser.parse_expr


def score(gold: str, text: str, extra: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Right only if the whole score is given; a part of it is wrong, and the note tells it.

    `extra` is {"dataset", "seed", "size", "index"} with "config" for what else was set: the entry
    is made again, since JSON would not keep its tuples and whole-number keys.
    """
    dataset, entry = made(extra)
    if gold and str(entry["answer"]) != gold:
        raise ValueError("this version of reasoning-gym makes another entry")
    points = float(dataset.score_answer(answer=text, entry=entry))
    if points >= 1.0:
        return True, None
    return False, f"reasoning-gym's score is {points:.2f}" if points > 0 else None


def made(extra: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The data set and the entry; both are kept."""
    config = tuple(sorted((extra.get("config") or {}).items()))
    dataset = _dataset(extra["dataset"], int(extra["seed"]), int(extra["size"]), config)
    return dataset, _entry(dataset, int(extra["index"]))


@lru_cache(maxsize=256)
def _dataset(name: str, seed: int, size: int, config: tuple[tuple[str, Any], ...]) -> Any:
    return reasoning_gym.create_dataset(name, seed=seed, size=size, **dict(config))


@lru_cache(maxsize=4096)
def _entry(dataset: Any, index: int) -> dict[str, Any]:
    entry: dict[str, Any] = dataset[index]
    return entry


def _formula(text: str, local_dict: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """`parse_expr` for what can only be a formula; raises ValueError for any other text."""
    known = _NAMES | set(local_dict or ())
    names = _NAME.findall(text)
    odd = [name for name in names if name not in known and not re.fullmatch("[A-Za-z]\\d*", name)]
    if not _FORMULA.fullmatch(text) or _ATTRIBUTE.search(text) or odd:
        raise ValueError("not a formula")
    return _parse_expr(text, local_dict=dict(local_dict or {}), **options)


def _disarm() -> None:
    """In every module that is loaded by now; scorers look the names up when they are called."""
    sympy.parse_expr = sympy_parser.parse_expr = _formula
    for name, module in list(sys.modules.items()):
        if name.startswith("reasoning_gym."):
            if getattr(module, "parse_expr", None) is _parse_expr:
                module.parse_expr = _formula  # type: ignore[attr-defined]
            module.eval = ast.literal_eval  # type: ignore[attr-defined]


_disarm()
