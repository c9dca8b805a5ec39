"""Documents of `still bench --json` for the tests of its page: seeded, and plausible.

A machine of 2 cores that reads 31 GB/s and makes 900 GOP/s, with a model of 1.5 billion parameters.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from stillhouse.bench.records import Cell, RequestRecord, Spread

READ_BYTES_PER_S, OPERATIONS_PER_S = 31.2e9, 905e9
OPERATIONS_A_TOKEN = 3.1e9
WEIGHT_BYTES = {"Q4_K_M": 0.98e9, "Q4_0": 0.93e9, "Q8_0": 1.64e9}
RECOVERY = {"Q4_K_M": 0.987, "Q8_0": 0.999}
USERS = (1, 2, 4, 8, 16)
SLO = {"ttft_s": 5.0, "tpot_s": 0.1}
THINKING, ANSWER, PROMPT = 240, 90, 128  # tokens, in the mean


def spread(values: Sequence[float | None]) -> Spread | None:
    """Over those that are there."""
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return None
    p50, p95, p99 = (float(np.percentile(known, at)) for at in (50, 95, 99))
    return Spread(len(known), float(known.mean()), p50, p95, p99)


def limit_tokens_per_s(quantization: str, rows: float) -> float:
    step_s = max(
        WEIGHT_BYTES[quantization] / READ_BYTES_PER_S, rows * OPERATIONS_A_TOKEN / OPERATIONS_PER_S
    )
    return rows / step_s


def records(rng: Generator, quantization: str, rows: int, count: int) -> list[RequestRecord]:
    share = rng.uniform(0.86, 0.9) - 0.02 * np.log2(rows)
    step_s = rows / limit_tokens_per_s(quantization, rows) / share
    prefill_s = PROMPT * OPERATIONS_A_TOKEN / OPERATIONS_PER_S / 0.6
    free = [0.0] * rows
    found = []
    for number in range(count):
        user = number % rows
        thinking, answer = (int(n) for n in rng.poisson((THINKING, ANSWER)))
        tpot_s = float(step_s * rng.normal(1, 0.03))
        ttft_s = float(prefill_s * (1 + user * rng.uniform(0.3, 1) + rng.exponential(0.2)))
        e2e_s = ttft_s + tpot_s * (thinking + answer - 1)
        found.append(
            RequestRecord(
                number, free[user], e2e_s, ttft_s, ttft_s + tpot_s * (thinking + 1), tpot_s,
                int(rng.integers(90, 170)), int(rng.integers(0, 30)), thinking, answer,
                finish_reason="stop", thinking_end="natural",
            )
        )  # fmt: skip
        free[user] += e2e_s
    return found


def cell(
    rng: Generator,
    quantization: str = "Q4_K_M",
    users: int = 4,
    *,
    rate_per_s: float | None = None,
    num_failed: int = 0,
    **changes: Any,
) -> dict[str, Any]:
    """A cell whose figures follow from its requests; of them the last ones fail."""
    asked = records(rng, quantization, users, max(12, 2 * users))
    done = asked[: len(asked) - num_failed]
    failed = [
        RequestRecord(r.number, r.started_s, 1.5, error="timeout", message="silent for 60 s")
        for r in asked[len(done) :]
    ]
    duration_s = max(record.started_s + (record.e2e_s or 0) for record in asked)
    output = sum(record.output_tokens for record in done) / duration_s
    prompts = sum(record.prompt_tokens for record in done) / duration_s
    limit = limit_tokens_per_s(quantization, users)
    tpot_s = spread([record.tpot_s for record in done])
    good = sum((r.ttft_s or 0) <= SLO["ttft_s"] and (r.tpot_s or 0) <= SLO["tpot_s"] for r in done)
    made = Cell(
        engine="stillhouse", url=None, model="qwen2.5-coder:1.5b", quantization=quantization,
        workload="reasoning", loop="closed" if rate_per_s is None else "open",
        users=users if rate_per_s is None else None, rate_per_s=rate_per_s,
        prompt_tokens=None, output_tokens=None, requests=len(done), duration_s=duration_s,
        requests_per_s=len(done) / duration_s, output_tokens_per_s=output,
        total_tokens_per_s=output + prompts,
        user_tokens_per_s=None if tpot_s is None else 1 / tpot_s.p50,
        prefill_tokens_per_s=175.0, decode_tokens_per_s=output * 1.04,
        ttft_s=spread([record.ttft_s for record in done]),
        ttfat_s=spread([record.ttfat_s for record in done]), tpot_s=tpot_s, itl_s=tpot_s,
        e2e_s=spread([record.e2e_s for record in done]),
        mean_prompt_tokens=float(PROMPT), mean_reasoning_tokens=float(THINKING),
        mean_answer_tokens=float(ANSWER), cached_share=0.11, truncated_share=0.0,
        looped_share=0.0, short_outputs=0, errors=num_failed,
        error_kinds={"timeout": num_failed} if num_failed else {},
        error_examples=("silent for 60 s",) if num_failed else (),
        goodput_per_s=good / duration_s, goodput_share=good / len(asked),
        peak_memory_bytes=int(WEIGHT_BYTES[quantization] + 4e7 * users),
        roofline_share=output / limit, roofline_tokens_per_s=limit,
        roofline_how=f"{WEIGHT_BYTES[quantization] / 1e9:.2f} GB a step at 31.2 GB/s, or "
        f"{3.1 * users:.1f} GOP at 905 GOP/s: {limit:.0f} tok/s",
        speedup=None, peak_concurrency=users, counted="usage", is_complete=True,
        request_records=(*done, *failed),
        quality_recovery=RECOVERY.get(quantization), quality_source="published by its maker",
    )  # fmt: skip
    return made.as_json() | changes


def document(*, seed: int = 1, users: Sequence[int] = USERS) -> dict[str, Any]:
    """Three quantisations under five loads; in one cell some fail, are cut, go in circles."""
    rng = np.random.default_rng(seed)
    results = []
    for quantization in WEIGHT_BYTES:
        of_one = None
        for count in users:
            doubtful = quantization == "Q8_0" and count == 16
            changes = {"truncated_share": 0.1, "looped_share": 0.0333} if doubtful else {}
            made = cell(rng, quantization, count, num_failed=2 * doubtful, **changes)
            of_one = of_one or made["output_tokens_per_s"]
            results.append(made | {"speedup": made["output_tokens_per_s"] / of_one})
    shown = {
        "stillhouse": "0.1.0",
        "commit": "8e27a1f0c4d6b3a59e71",
        "machine": {
            "cpu": "AMD EPYC",
            "physical_cores": 2,
            "logical_cores": 2,
            "total_memory_bytes": 25276510208,
        },
        "date": "2026-11-24",
        "model": "qwen2.5-coder:1.5b",
        "command": "still bench qwen2.5-coder:1.5b --users 1,2,4,8,16 --html bench.html",
        "results": results,
        "slo": SLO,
        "machine_speeds": {
            "read_bytes_per_s": READ_BYTES_PER_S,
            "int8_operations_per_s": OPERATIONS_PER_S,
        },
        "sweeps": [
            {
                "kind": "users",
                "model": "qwen2.5-coder:1.5b Q4_K_M",
                "found": 23,
                "tried": [
                    {"value": value, "kept": value <= 23, "goodput_share": 1 - value / 400}
                    for value in (8, 16, 32, 24, 20, 22, 23)
                ],
                "sentence": "Q4_K_M keeps the SLO for 23 users",
            }
        ],
        "comparisons": [
            {
                "model": "Q4_K_M",
                "baseline": "Q8_0",
                "workload": "reasoning",
                "single_stream_speedup": 1.62,
                "multi_stream_speedup": 1.07,
            }
        ],
        "notes": ["other programs took 0.1 of 2 cores meanwhile"],
    }
    loaded: dict[str, Any] = json.loads(json.dumps(shown))
    return loaded


def pictured() -> dict[str, Any]:
    """A real run's document where one is named, for the pictures in the documentation."""
    path = os.environ.get("STILLHOUSE_BENCH_DOCUMENT")
    if path is None:
        return document()
    loaded: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return loaded
