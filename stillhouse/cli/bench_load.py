"""What `still bench` is told, as targets and loads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from stillhouse.bench.runs import InProcess, Served, Target
from stillhouse.catalog import BenchLoad, bench_loads, find_bench_load
from stillhouse.errors import UsageError

Number = TypeVar("Number", int, float)

_DEFAULT = "short"
_ALL = "all"


def targets(
    models: Sequence[str],
    urls: Sequence[str],
    served: Sequence[str],
    *,
    name: str | None,
    api_key: str | None,
    timeout_s: float,
    may_be_none: bool,
) -> list[Target]:
    """Models first. Raises UsageError for none, and for names of served models without servers."""
    if not models and not urls and not may_be_none:
        raise UsageError(
            "nothing to measure", hint="name a model, or a server with --url http://host:port"
        )
    if served and len(served) != len(urls):
        raise UsageError(
            f"{len(served)} models are said to be served, by {len(urls)} servers",
            hint="give --served once for each --url, in the same order",
        )
    behind: Sequence[str | None] = served or [None] * len(urls)
    return [
        *map(InProcess, models),
        *(
            Served(url, name, model, api_key, timeout_s)
            for url, model in zip(urls, behind, strict=True)
        ),
    ]


def workloads(
    names: Sequence[str], prompt_tokens: int | None, output_tokens: int | None
) -> tuple[BenchLoad, ...]:
    """The catalogue's, with other lengths where they are given. Raises UsageError."""
    if _ALL in names:
        chosen = list(bench_loads())
    else:
        chosen = [find_bench_load(name) for name in names or [_DEFAULT]]
    if len(chosen) > 1 and (prompt_tokens or output_tokens):
        raise UsageError(
            f"{len(chosen)} workloads would all have the same length",
            hint="name one of them with --prompt-tokens and --output-tokens",
        )
    if prompt_tokens is None and output_tokens is None:
        return tuple(chosen)
    (one,) = chosen
    output = output_tokens or one.output_tokens
    return (
        replace(
            one,
            prompt_tokens=prompt_tokens or one.prompt_tokens,
            output_tokens=output,
            thinking_tokens=min(one.thinking_tokens, output),
        ),
    )


def counts(text: str) -> tuple[int, ...]:
    """`1,4,16`, whole and positive. Raises UsageError."""
    return _numbers(text, int, "--users", "1,4,16")


def rates(text: str) -> tuple[float, ...]:
    """`0.5,1`, positive. Raises UsageError."""
    return _numbers(text, float, "--rate", "0.5,1,2")


def _numbers(
    text: str, number: Callable[[str], Number], option: str, example: str
) -> tuple[Number, ...]:
    try:
        found = tuple(number(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < one < 1e6 for one in found) or len(set(found)) < len(found):
        raise UsageError(
            f"'{text}' is no list for {option}", hint=f"write different numbers above 0: {example}"
        )
    return found
