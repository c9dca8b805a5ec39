"""Cells and documents of a benchmark that was never run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from stillhouse.bench.load import Load, Observed, Outcome
from stillhouse.bench.measure import Conditions, SystemFacts, cell_of
from stillhouse.bench.records import Cell, RequestRecord
from stillhouse.bench.slo import Slo

SLO = Slo(ttft_s=5.0, tpot_s=0.2)
MACHINE = {
    "os": "Linux",
    "architecture": "x86_64",
    "cpu": "A Processor",
    "physical_cores": 2,
    "logical_cores": 4,
    "total_memory_bytes": 8 << 30,
}


def records(
    *, seed: int, users: int, requests: int, speed: float = 1.0, failed: int = 0
) -> list[RequestRecord]:
    """128 tokens each in 2 s or so, if `speed` is 1; the last `failed` ones failed."""
    generator = np.random.default_rng(seed)
    slow = generator.lognormal(0, 0.02, requests) / speed
    made = [
        RequestRecord(
            number,
            started_s=number // users * 2 / speed,
            e2e_s=2.0 * factor,
            ttft_s=0.2 * factor,
            ttfat_s=1.0 * factor,
            tpot_s=1.8 / 127 * factor,
            prompt_tokens=128,
            cached_tokens=0,
            reasoning_tokens=60,
            answer_tokens=68,
            finish_reason="length",
        )
        for number, factor in enumerate(slow.tolist())
    ]
    broken = [
        RequestRecord(one.number, one.started_s, e2e_s=0.5, error="timeout", message="no answer")
        for one in made[requests - failed :]
    ]
    return made[: requests - failed] + broken


def cell(
    *,
    seed: int = 0,
    users: int | None = 4,
    rate_per_s: float | None = None,
    requests: int = 48,
    speed: float = 1.0,
    failed: int = 0,
    model: str = "smollm2:135m",
    quantization: str | None = "Q4_1",
    **changes: Any,
) -> Cell:
    """A cell as a run makes it; `changes` are made to it afterwards."""
    made = records(seed=seed, users=users or 4, requests=requests, speed=speed, failed=failed)
    outcome = Outcome(
        [Observed(one, (0.01, 0.02)) for one in made],
        duration_s=max(one.started_s + (one.e2e_s or 0) for one in made),
        peak_concurrency=users or 4,
    )
    conditions = Conditions(
        "short",
        Load(requests, users=users, rate_per_s=rate_per_s),
        SLO,
        prompt_tokens=128,
        output_tokens=128,
        peak_memory_bytes=512_000_000,
    )
    facts = SystemFacts("stillhouse", "0.5", None, model, quantization)
    return replace(cell_of(facts, conditions, outcome), **changes)


def document(*cells: Cell, **changes: Any) -> dict[str, Any]:
    """As `still bench --json` prints it; names that are None in `changes` are left out."""
    whole: dict[str, Any] = {
        "command": "bench",
        "stillhouse": "0.5.0",
        "commit": "0123456789abcdef",
        "machine": MACHINE,
        "date": "2026-11-25T01:00:00+00:00",
        "model": "smollm2:135m",
        "results": [one.as_json() for one in cells],
        "slo": SLO.as_json(),
        "machine_speeds": None,
        "sweeps": [],
        "comparisons": [],
        "notes": [],
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def text(*cells: Cell, **changes: Any) -> bytes:
    return json.dumps(document(*cells, **changes)).encode()
