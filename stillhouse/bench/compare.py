"""Compares two benchmarks, A and B: which cells belong together, and what may not be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.bench.document import BenchDocument
from stillhouse.bench.records import Cell
from stillhouse.bench.statistics import LEAST_BLOCKS, LEAST_FOR_P95, WAVES_A_BLOCK
from stillhouse.bench.verdicts import Figure, figures_of, side_by_side
from stillhouse.errors import UsageError

DEFAULT_THRESHOLD = 0.05

_NAMES = ("engine", "model", "quantization")
_LOAD = ("workload", "loop", "users", "rate_per_s", "prompt_tokens", "output_tokens")
_MACHINE = ("os", "architecture", "cpu", "physical_cores", "logical_cores")
_WAVES = LEAST_BLOCKS * WAVES_A_BLOCK
_LENGTHS_DIFFER, _CACHED_DIFFER, _MACHINE_DIFFERS = 0.05, 0.1, 0.1


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """The same load in both runs, and every figure that one of them has."""

    a: Cell
    b: Cell
    figures: tuple[Figure, ...]

    @property
    def has_too_few(self) -> bool:
        """Requests, for one figure at least."""
        return any(figure.verdict == "too few requests" for figure in self.figures)

    def as_json(self) -> dict[str, Any]:
        return {
            "a": _identity(self.a),
            "b": _identity(self.b),
            "figures": [figure.as_json() for figure in self.figures],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """`by_load`: the names differ, and one system was compared with another."""

    results: tuple[ComparedCell, ...]
    only_in_a: tuple[Cell, ...]
    only_in_b: tuple[Cell, ...]
    by_load: bool
    threshold: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> list[tuple[ComparedCell, Figure]]:
        return [
            (cell, figure)
            for cell in self.results
            for figure in cell.figures
            if figure.is_regression
        ]

    def as_json(self) -> dict[str, Any]:
        """The names of `still bench compare`, but for those of the two files."""
        return {
            "threshold": self.threshold,
            "is_regression": bool(self.regressions),
            "matched_by": "load" if self.by_load else "names",
            "results": [one.as_json() for one in self.results],
            "only_in_a": [_identity(cell) for cell in self.only_in_a],
            "only_in_b": [_identity(cell) for cell in self.only_in_b],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def compare(
    a: BenchDocument, b: BenchDocument, *, threshold: float = DEFAULT_THRESHOLD, seed: int = 0
) -> Comparison:
    """B against A. `threshold` is a share: how much worse is a regression.

    Cells belong together that have the same names and load. Where no names are in both, and each
    has one series, those two are compared. Raises UsageError where nothing belongs together.
    """
    pairs, left_a, left_b = _matched(a.results, b.results, _whole_key)
    series_a, series_b = ({_key(_NAMES, cell) for cell in one.results} for one in (a, b))
    by_load = series_a.isdisjoint(series_b) and len(series_a) == len(series_b) == 1
    if by_load:
        pairs, left_a, left_b = _matched(a.results, b.results, _load_key)
    if not pairs:
        raise UsageError(
            f"the runs have no cell in common: A has {_listed(a.results)}; B has"
            f" {_listed(b.results)}",
            hint="measure both under the same --workload and --users",
        )
    slo = a.slo if a.slo == b.slo else None
    results = tuple(
        ComparedCell(one, two, tuple(figures_of(one, two, slo=slo, threshold=threshold, seed=seed)))
        for one, two in pairs
    )
    return Comparison(
        results,
        tuple(left_a),
        tuple(left_b),
        by_load,
        threshold,
        tuple(_warnings(a, b, pairs)),
        tuple(_notes(results, by_load=by_load)),
    )


def title_of(cell: Cell) -> str:
    """`smollm2:135m Q4_1, short (128 + 128 tokens), 4 users`; another engine's name before it."""
    engine = "" if cell.engine == "stillhouse" else f"{cell.engine} "
    name = cell.model if cell.quantization is None else f"{cell.model} {cell.quantization}"
    lengths = [
        "natural" if tokens is None else f"{tokens:,}"
        for tokens in (cell.prompt_tokens, cell.output_tokens)
    ]
    return f"{engine}{name}, {cell.workload} ({' + '.join(lengths)} tokens), {cell.load}"


def _matched(
    a: Sequence[Cell], b: Sequence[Cell], key: Callable[[Cell], Hashable]
) -> tuple[list[tuple[Cell, Cell]], list[Cell], list[Cell]]:
    """Pairs in A's order, and what is left of both. Of cells with one key the first ones match."""
    waiting: dict[Hashable, list[Cell]] = defaultdict(list)
    for cell in b:
        waiting[key(cell)].append(cell)
    pairs, left_a = [], []
    for cell in a:
        same = waiting[key(cell)]
        if same:
            pairs.append((cell, same.pop(0)))
        else:
            left_a.append(cell)
    left_b = {id(cell) for cells in waiting.values() for cell in cells}
    return pairs, left_a, [cell for cell in b if id(cell) in left_b]


def _warnings(
    a: BenchDocument, b: BenchDocument, pairs: Sequence[tuple[Cell, Cell]]
) -> Iterator[str]:
    """What makes the runs differ, besides what is to be compared."""
    for name in _MACHINE:
        here, there = a.machine.get(name), b.machine.get(name)
        if here != there:
            yield f"different machines: {name} is {here} in A, {there} in B"
    if a.slo != b.slo:
        yield f"different promises, so goodput is left out: {a.slo} in A, {b.slo} in B"
    for one, two in pairs:
        for problem in _differences(one, two):
            yield f"{title_of(one)}: {problem}"


def _differences(a: Cell, b: Cell) -> Iterator[str]:
    for name, cell in (("A", a), ("B", b)):
        if not cell.is_complete:
            yield f"{name} was stopped, so its slowest requests are missing"
    for what, lengths in (
        ("prompts", (a.mean_prompt_tokens, b.mean_prompt_tokens)),
        ("outputs", (_mean_output_tokens(a), _mean_output_tokens(b))),
    ):
        one, two = lengths
        if one and two is not None and abs(two / one - 1) > _LENGTHS_DIFFER:
            yield f"{what} have {one:.0f} tokens in A and {two:.0f} in B, so the work differs"
    if _key(_NAMES, a) == _key(_NAMES, b) and a.roofline_tokens_per_s and b.roofline_tokens_per_s:
        faster = b.roofline_tokens_per_s / a.roofline_tokens_per_s
        if abs(faster - 1) > _MACHINE_DIFFERS:
            yield (
                f"the machine itself was {faster:.2f} times as fast in B (what it allowed:"
                f" {a.roofline_tokens_per_s:.3g} and {b.roofline_tokens_per_s:.3g} tok/s), so the"
                " difference may be its own"
            )
    if a.counted != b.counted:
        yield f"thoughts and answers are counted by {a.counted} in A, by {b.counted} in B"
    if a.cached_share is None or b.cached_share is None:
        return
    if abs(a.cached_share - b.cached_share) > _CACHED_DIFFER:
        yield f"{a.cached_share:.0%} of A's prompts and {b.cached_share:.0%} of B's were cached"


def _notes(results: Sequence[ComparedCell], *, by_load: bool) -> Iterator[str]:
    """What the figures mean."""
    first = results[0]
    if by_load:
        names = [
            " ".join(str(part) for part in _key(_NAMES, c) if part) for c in (first.a, first.b)
        ]
        yield f"no system is in both files, so A's one is compared with B's: {' with '.join(names)}"
    figures = [figure for one in results for figure in one.figures]
    wanted = [_wanted_requests(one) for one in results if one.has_too_few]
    if wanted:
        yield (
            f"an interval needs {_WAVES} requests of each user, that of a p95 {LEAST_FOR_P95} in"
            f" all: --requests {max(wanted)}"
        )
    judged = sum(figure.low is not None for figure in figures)
    if judged:
        yield (
            f"intervals hold what lies behind in 95 of 100 cases, so of these {judged} about"
            f" {max(1, round(judged / 20))} may not; how a machine changes between two runs is not"
            " in them: measure both at about the same time"
        )
    if any(one.name == "output_tokens_per_s" and one.low is not None for one in figures):
        yield (
            "tok/s are compared as users x mean tokens / mean seconds of a request (Little's law),"
            " which leaves out how a run begins and ends"
        )


def _wanted_requests(cell: ComparedCell) -> int:
    return max(LEAST_FOR_P95, *(_WAVES * side_by_side(one) for one in (cell.a, cell.b)))


def _mean_output_tokens(cell: Cell) -> float | None:
    if cell.mean_reasoning_tokens is None or cell.mean_answer_tokens is None:
        return None
    return cell.mean_reasoning_tokens + cell.mean_answer_tokens


def _key(names: Sequence[str], cell: Cell) -> tuple[Any, ...]:
    return tuple(getattr(cell, name) for name in names)


def _whole_key(cell: Cell) -> Hashable:
    return _key(_NAMES + _LOAD, cell)


def _load_key(cell: Cell) -> Hashable:
    return _key(_LOAD, cell)


def _identity(cell: Cell) -> dict[str, Any]:
    names = (*_NAMES, *_LOAD, "requests")
    return {name: getattr(cell, name) for name in names}


def _listed(cells: Sequence[Cell], most: int = 3) -> str:
    titles = list(dict.fromkeys(map(title_of, cells)))
    more = f" and {len(titles) - most} more" if len(titles) > most else ""
    return ("; ".join(titles[:most]) + more) or "none at all"
