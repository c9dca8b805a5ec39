"""Fits this engine's shares of a processor's peaks to runs of benchmarks/planner.py.

    python tools/fit_engine.py benchmarks/results/planner.json

Prints the entry for stillhouse/catalog/efficiencies.toml, to be put there by hand, and the errors
that are left. The sum of |ln(predicted / measured)| of decoding, prompts and times to the answer is
made smaller one figure at a time, in steps of a tenth and then of a fiftieth, until none helps. Run
the benchmark again afterwards: errors of the run that was fitted to prove little.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from stillhouse.catalog import Efficiency, efficiency_for
from stillhouse.planner.local import loaded_weights
from stillhouse.planner.speed import decode_step_s, prefill_s_of
from stillhouse.planner.targets import Target
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload

_STEPS = (1.1, 1.02)
_FITTED = (
    "read_share", "batch_share", "prefill_share", "attend_share", "attend_prefill_share",
    "step_s", "row_s", "prefill_row_s",
)  # fmt: skip
_SHARES = tuple(name for name in _FITTED if name.endswith("share"))


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    runs = parser.parse_args().runs
    cells = [cell for run in runs for cell in json.loads(run.read_text())["cells"]]
    weights = {model: loaded_weights(model)[0] for model in {cell["model"] for cell in cells}}
    entry = efficiency_for("this machine", "stillhouse")
    for factor in _STEPS:
        entry = _descend(entry, cells, weights, factor)
    for name, value in asdict(entry).items():
        if isinstance(value, float):
            print(f"{name} = {value:.3g}")
    for name in ("decode_tokens_per_s", "prefill_tokens_per_s", "time_to_answer_s"):
        errors = [abs(math.expm1(e)) for e in _errors(entry, cells, weights, name)]
        print(f"{name}: median error {median(errors):.1%}, worst {max(errors):.1%}")


def _descend(
    entry: Efficiency, cells: list[dict[str, Any]], weights: dict[str, Weights], factor: float
) -> Efficiency:
    least, improved = _loss(entry, cells, weights), True
    while improved:
        improved = False
        for name in _FITTED:
            for way in (factor, 1 / factor):
                value = getattr(entry, name) * way
                if name in _SHARES and value > 1:
                    continue
                tried = replace(entry, **{name: value})
                loss = _loss(tried, cells, weights)
                if loss < least - 1e-6:
                    entry, least, improved = tried, loss, True
    return entry


def _loss(entry: Efficiency, cells: list[dict[str, Any]], weights: dict[str, Weights]) -> float:
    names = ("decode_tokens_per_s", "prefill_tokens_per_s", "time_to_answer_s")
    return sum(abs(e) for name in names for e in _errors(entry, cells, weights, name))


def _errors(
    entry: Efficiency, cells: list[dict[str, Any]], weights: dict[str, Weights], name: str
) -> list[float]:
    """ln(predicted / measured) of each cell."""
    return [
        math.log(_predicted(entry, cell, weights[cell["model"]])[name] / cell["measured"][name])
        for cell in cells
    ]


def _predicted(entry: Efficiency, cell: dict[str, Any], weights: Weights) -> dict[str, float]:
    workload = Workload(**{name: cell[name] for name in Workload.__dataclass_fields__})
    reads, makes = cell["read_bytes_per_s"], cell["int8_operations_per_s"]
    target = Target("this machine", "stillhouse", "this machine", 1, 0, None, None, reads, makes)
    users = workload.users
    step_s = decode_step_s(weights, users, workload.middle_tokens, target, "bf16", entry)
    prefill_s = users * prefill_s_of(weights, workload.prompt_tokens, target, entry)
    return {
        "decode_tokens_per_s": users / step_s,
        "prefill_tokens_per_s": users * workload.prompt_tokens / prefill_s,
        "time_to_answer_s": prefill_s + workload.thinking_tokens * step_s,
    }


if __name__ == "__main__":
    main()
