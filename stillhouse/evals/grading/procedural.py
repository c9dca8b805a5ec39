"""reasoning-gym's tasks, scored by their own `score_answer`, in the graders' own process.

Some of its scorers hand the model's text to `eval`, or to sympy's `parse_expr`, which is no better.
While it scores those names mean something that reads values and formulas only.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import reasoning_gym
import sympy
from sympy.parsing import sympy_parser

from stillhouse.evals.grading.entries import question_hash
from stillhouse.evals.grading.notations import notations

_MOST_SHOWN = 200  # characters of another notation
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
# Nothing here has a name, calls or looks anything up.
_VALUES = (
    *(ast.Expression, ast.Constant, ast.Load, ast.List, ast.Tuple, ast.Dict, ast.Set),
    *(ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator),
)


def score(gold: str, text: str, extra: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Right only if the whole score is given, to the text or to the same in another notation; a
    part of it is wrong, and the note tells it.

    `extra` is {"dataset", "seed", "size", "index"} with "config" for what else was set: the entry
    is made again, since JSON would not keep its tuples and whole-number keys; with "question", the
    start of that one's hash, it must be the same. Raises what the scorer does where it can read
    none of the notations.
    """
    dataset, entry = made(extra)
    asked = extra.get("question", question_hash(entry["question"]))
    if question_hash(entry["question"]) != asked or (gold and str(entry["answer"]) != gold):
        raise ValueError("this version of reasoning-gym makes another entry")
    most: float | None = None
    failure: Exception | None = None
    for form in notations(text, gold):
        try:
            with disarmed():
                points = float(dataset.score_answer(answer=form, entry=entry))
        except Exception as error:
            failure = failure or error
            continue
        if points >= 1.0:
            return True, None if form == text else f"read as {form[:_MOST_SHOWN]}"
        most = max(points, most or 0.0)
    if most is None and failure is not None:
        raise failure
    return False, f"reasoning-gym's score is {most:.2f}" if most else None


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


def _value(text: str) -> Any:
    """`eval` for what can only be a value, or a sum of numbers; raises ValueError for the rest."""
    tree = ast.parse(text.strip(), mode="eval")
    if not all(isinstance(node, _VALUES) for node in ast.walk(tree)):
        raise ValueError("not a value")
    return eval(compile(tree, "<value>", "eval"), {"__builtins__": {}})


@contextmanager
def disarmed() -> Iterator[None]:
    """While it lasts no scorer computes what a text says, in any module that is loaded by now:
    scorers look the names up when they are called.

    Elsewhere, as where mathematics is compared, the names mean what they ever did.
    """
    modules = [module for name, module in sys.modules.items() if name.startswith("reasoning_gym.")]
    parsing = [sympy, sympy_parser]
    parsing += [one for one in modules if getattr(one, "parse_expr", None) is _parse_expr]
    try:
        for module in parsing:
            module.parse_expr = _formula
        for module in modules:
            module.eval = _value  # type: ignore[attr-defined]
        yield
    finally:
        for module in parsing:
            module.parse_expr = _parse_expr
        for module in modules:
            del module.eval
