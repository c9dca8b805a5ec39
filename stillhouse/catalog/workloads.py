"""Loads that published benchmarks offer, by name: how long a prompt, how long an output."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from stillhouse.errors import UsageError


@dataclass(frozen=True, slots=True)
class BenchLoad:
    """Tokens of one request. Of the output, `thinking_tokens` at most are a thought; 0 leaves
    thoughts to the model.
    """

    name: str
    title: str
    prompt_tokens: int
    output_tokens: int
    source: str
    thinking_tokens: int = 0


@cache
def bench_loads() -> tuple[BenchLoad, ...]:
    """All of them, the shortest first."""
    text = files(__package__).joinpath("workloads.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return tuple(
        BenchLoad(**entry | {"source": document["source_texts"][entry["source"]]})
        for entry in document["workload"]
    )


def find_bench_load(name: str) -> BenchLoad:
    """By its name. Raises UsageError with the names there are."""
    for load in bench_loads():
        if load.name == name.lower():
            return load
    known = ", ".join(load.name for load in bench_loads())
    raise UsageError(f"there is no workload '{name}'", hint=f"take one of {known}")
