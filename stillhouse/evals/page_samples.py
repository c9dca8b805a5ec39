"""Samples on their way into a page: which of them go there, and in which form."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PageSample = Mapping[str, Any]
"""`Sample.as_json()` with `label`, the result that it belongs to, and its problem's `prompt` and
`gold`."""

_OF_PROBLEM = ("task", "problem", "prompt", "gold")  # the same in every sample of a problem
_LISTED = 16  # bytes of the comma, and of the number that stands for what is in _OF_PROBLEM


def shown_samples(samples: Sequence[PageSample], most_bytes: int) -> list[PageSample]:
    """Of samples those that are worth most to a reader and fit, in the order that they came in.

    What was asked in several labels (one task, problem and number) goes in whole or not at all, or
    nothing could be compared. First those on which labels differ in their verdict, then those that
    nobody got right, then the rest; of each kind all tasks in turn. What does not fit is passed by:
    shorter ones that come later may fit. `most_bytes` counts JSON as `page` writes it.
    """
    asked: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for at, sample in enumerate(samples):
        asked[sample["task"], sample["problem"], sample["number"]].append(at)
    turns: dict[tuple[str, int], int] = defaultdict(int)
    ranked = []
    for (task, _, _), places in asked.items():
        kind = _kind(samples[at]["verdict"] for at in places)
        ranked.append((kind, turns[task, kind], places))
        turns[task, kind] += 1
    ranked.sort(key=lambda one: one[:2])  # stable: of one turn, tasks stay in their order

    left_bytes, listed, chosen = most_bytes, set[str](), []
    for _, _, places in ranked:
        problems = {_json(_of_problem(samples[at])) for at in places} - listed
        group_bytes = sum(len(_json(_without_problem(samples[at]))) + _LISTED for at in places)
        group_bytes += sum(map(len, problems))
        if group_bytes > left_bytes:
            continue
        left_bytes -= group_bytes
        listed |= problems
        chosen += places
    return [samples[at] for at in sorted(chosen)]


def packed(samples: Iterable[PageSample]) -> dict[str, Any]:
    """`problems`, and `samples` that name theirs by its place there: a prompt is held once."""
    places: dict[str, int] = {}
    problems: list[dict[str, Any]] = []
    short: list[dict[str, Any]] = []
    for sample in samples:
        problem = _of_problem(sample)
        place = places.setdefault(_json(problem), len(places))
        if place == len(problems):
            problems.append(problem)
        short.append({"at": place, **_without_problem(sample)})
    return {"problems": problems, "samples": short}


def finite(value: Any) -> Any:
    """With None for every number that JSON has no form for, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return value


def _kind(verdicts: Iterable[str]) -> int:
    found = set(verdicts)
    if len(found) > 1:
        return 0
    return 2 if found == {"right"} else 1


def _of_problem(sample: PageSample) -> dict[str, Any]:
    return {name: sample[name] for name in _OF_PROBLEM}


def _without_problem(sample: PageSample) -> dict[str, Any]:
    return {name: finite(value) for name, value in sample.items() if name not in _OF_PROBLEM}


def _json(value: Mapping[str, Any]) -> str:
    """As a page holds it, where a '<' is six characters."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
