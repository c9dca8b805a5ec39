"""Fits what part of a device's peaks an engine reaches, to the speeds that were published.

    python tools/fit_speeds.py            # prints each row: published, predicted, error
    python tools/fit_speeds.py --write    # and writes stillhouse/catalog/efficiencies.toml

Rows that no memory could deliver are left out, and estimates. For each kind of device and engine
the shares and the time of a step are those of a grid that give the least sum of |ln(predicted /
published)|, each error counted to ln 2 at most, so that a wild row pulls no more than a bad one.
Kinds with few rows are fitted in the share of the bandwidth alone; the rest is that of all.
Entries of this project's own engine stay as they are.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import stillhouse.catalog
from stillhouse.catalog import Efficiency
from stillhouse.planner.published import PublishedRun, published_runs
from stillhouse.planner.speed import decode_step_s, prefill_s_of

_FILE = Path(stillhouse.catalog.__file__).parent / "efficiencies.toml"
_FEW_ROWS = 6
_READ = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
_UNPACK = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.13, 0.2)
_STEP_S = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.006)
_BATCH = (0.05, 0.1, 0.2, 0.3, 0.4)
_WORST = math.log(2)
_HEAD = """\
# What part of a device's peaks an engine reaches; efficiencies.py says what each figure means.
#
# Written by tools/fit_speeds.py from speeds.toml; entries of stillhouse itself are fitted to
# benchmarks/results/planner.json by tools/fit_engine.py and stay.
# "unknown" stands for kinds without runs of their own.
"""


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one kind of device with one engine."""

    kind: str
    engine: str
    runs: tuple[PublishedRun, ...]


def main() -> None:
    """Fit, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    runs = [run for run in published_runs() if run.counts]
    everything = _fit(Group("unknown", "llama.cpp", tuple(runs)), None)
    fitted = [everything, *(_fit(group, everything) for group in _groups(runs))]
    fitted.append(_standing_in(everything, "vllm"))
    errors = []
    for run in runs:
        entry = next(e for e in fitted if (e.kind, e.engine) == (run.kind, run.engine))
        predicted = _predicted(run, entry)
        errors.append(abs(predicted / run.tokens_per_s - 1))
        name = f"{run.device} {run.model} {run.quantization} x{run.users}"
        print(f"{name:60} {run.tokens_per_s:8.1f} {predicted:8.1f} {errors[-1]:6.0%}")
    print(f"median error {median(errors):.1%} of {len(errors)}", file=sys.stderr)
    if arguments.write:
        _write(fitted)


def _groups(runs: Iterable[PublishedRun]) -> list[Group]:
    found: dict[tuple[str, str], list[PublishedRun]] = defaultdict(list)
    for run in runs:
        if run.kind == "unknown":  # that entry is fitted to all runs and stands for such devices
            continue
        found[run.kind, run.engine].append(run)
    return [Group(*key, tuple(rows)) for key, rows in sorted(found.items())]


def _fit(group: Group, base: Efficiency | None) -> Efficiency:
    is_small = base is not None and len(group.runs) < _FEW_ROWS
    grids = (
        _READ,
        (base.unpack_share,) if base and is_small else _UNPACK,
        (base.step_s,) if base and is_small else _STEP_S,
        _BATCH
        if any(run.users > 1 for run in group.runs)
        else (base.batch_share if base else 0.3,),
    )
    start = Efficiency(group.kind, group.engine, 1, 1, 1, 0, "")
    best = min(
        (
            replace(start, read_share=read, unpack_share=unpack, step_s=step, batch_share=batch)
            for read, unpack, step, batch in itertools.product(*grids)
        ),
        key=lambda entry: _loss(group.runs, entry),
    )
    prefills = [run for run in group.runs if run.prefill_tokens_per_s is not None]
    shares = [_prefill_share(run, best) for run in prefills] or (
        [base.prefill_share] if base else [0.3]
    )
    return replace(
        best,
        prefill_share=round(median(shares), 3),
        source=f"fitted to {len(group.runs)} published runs",
    )


def _standing_in(base: Efficiency, engine: str) -> Efficiency:
    return replace(
        base,
        engine=engine,
        unpack_share=None,
        source="that of llama.cpp on all devices: no possible run of this engine was published",
    )


def _loss(runs: Iterable[PublishedRun], entry: Efficiency) -> float:
    return sum(
        min(_WORST, abs(math.log(_predicted(run, entry) / run.tokens_per_s))) for run in runs
    )


def _predicted(run: PublishedRun, entry: Efficiency) -> float:
    step_s = decode_step_s(run.weights, run.users, run.context_tokens, run.target, "f16", entry)
    return run.users / step_s


def _prefill_share(run: PublishedRun, entry: Efficiency) -> float:
    """The share that gives the published speed of a prompt of 512 to 1,024 tokens."""
    assert run.prefill_tokens_per_s is not None
    wanted_s = 1024 / run.prefill_tokens_per_s
    at_one = prefill_s_of(run.weights, 1024, run.target, replace(entry, step_s=0, read_share=100))
    return at_one / wanted_s


def _write(fitted: list[Efficiency]) -> None:
    kept: list[str] = []
    if _FILE.exists():
        kept = [_text(e) for e in _measured()]
    _FILE.write_text(_HEAD + "".join(map(_text, fitted)) + "".join(kept))


def _measured() -> list[Efficiency]:
    entries = tomllib.loads(_FILE.read_text())["efficiency"]
    return [Efficiency(**entry) for entry in entries if entry["engine"] == "stillhouse"]


def _text(entry: Efficiency) -> str:
    rows = {key: value for key, value in asdict(entry).items() if value not in (None, 0.0)}
    rows["step_s"] = entry.step_s
    lines = [f"{key} = {_value(value)}" for key, value in rows.items()]
    return "\n[[efficiency]]\n" + "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


if __name__ == "__main__":
    main()
