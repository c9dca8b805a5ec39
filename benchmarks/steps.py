"""What a decode step costs by its number of rows, and by the context behind it.

    python benchmarks/steps.py                          # the 1.5B: 1 to 64 rows, 16,384 tokens
    python benchmarks/steps.py --model smollm2:135m --rows 1 8 --contexts 0 4096 --json steps.json

Each round measures every row count at 128 tokens of context, then one row at every context and
cache type, so that ratios are of steps taken within a second of each other. Figures are medians
over the rounds, ratios the medians of the rounds' own. Caches hold zeros: no speed depends on them.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from stillhouse import hub
from stillhouse.checkpoints import open_checkpoint
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.cost import KVType
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model

_CONTEXT_TOKENS = 128  # behind each of several rows
_KV_TYPES: tuple[KVType, ...] = ("q8_0", "bf16")


def main() -> None:
    """Measure, print two tables, and write the JSON if asked to."""
    arguments = _arguments()
    with open_checkpoint(hub.resolve(arguments.model)) as checkpoint:
        model = load_model(checkpoint, threads=arguments.threads)
        try:
            document = _measure(model, arguments)
        finally:
            model.close()
    _print(document)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


def _measure(model: Decoder, arguments: argparse.Namespace) -> dict[str, Any]:
    together = KVCache(model.config, max(arguments.rows) * _blocks(_CONTEXT_TOKENS), "bf16")
    alone = {
        kv_type: KVCache(model.config, _blocks(max(arguments.contexts) + 1), kv_type)
        for kv_type in _KV_TYPES
    }
    by_rows: dict[int, list[float]] = {rows: [] for rows in arguments.rows}
    by_context: dict[tuple[KVType, int], list[float]] = {
        (kv_type, context): [] for kv_type in _KV_TYPES for context in arguments.contexts
    }
    bandwidths = []
    for round_ in range(arguments.rounds + 1):  # the first one only warms up
        bandwidths.append(model.measure_read_bytes_per_s())
        for rows, times_s in by_rows.items():
            times_s.append(_step_s(model, together, rows, _CONTEXT_TOKENS))
        for (kv_type, context), times_s in by_context.items():
            times_s.append(_step_s(model, alone[kv_type], 1, context + 1))
        if round_ == 0:
            for times_s in (*by_rows.values(), *by_context.values(), bandwidths):
                times_s.clear()
    fewest, shortest = min(arguments.rows), min(arguments.contexts)
    return {
        "command": "steps",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "threads": model.threads,
        "isa": model.isa.label,
        "rounds": arguments.rounds,
        "read_bytes_per_s": median(bandwidths),
        "step_bytes": model.step_bytes(_CONTEXT_TOKENS),
        "rows": [
            {
                "rows": rows,
                "step_s": median(times_s),
                "tokens_per_s": rows / median(times_s),
                "cost": _ratio(times_s, by_rows[fewest]),
            }
            for rows, times_s in by_rows.items()
        ],
        "contexts": [
            {
                "kv_type": kv_type,
                "context_tokens": context,
                "step_s": median(times_s),
                "speed_kept": _ratio(by_context[kv_type, shortest], times_s),
            }
            for (kv_type, context), times_s in by_context.items()
        ],
    }


def _step_s(model: Decoder, kv: KVCache, rows: int, context: int) -> float:
    """Seconds of one step in which each row is the last of ``context`` tokens of its own."""
    blocks = _blocks(context)
    batch = Batch(
        token_ids=np.arange(1_000, 1_000 + rows, dtype=np.int32),
        positions=np.full(rows, context - 1, np.int32),
        sequence_index=np.arange(rows, dtype=np.int32),
        block_tables=np.arange(rows * blocks, dtype=np.int32).reshape(rows, blocks),
        logit_rows=np.arange(rows, dtype=np.int32),
    )
    start_s = time.perf_counter()
    model.forward(batch, kv)
    return time.perf_counter() - start_s


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS)


def _ratio(times_s: list[float], to_s: list[float]) -> float:
    return median(a / b for a, b in zip(times_s, to_s, strict=True))


def _print(document: dict[str, Any]) -> None:
    bandwidth, read = document["read_bytes_per_s"], document["step_bytes"]
    print(f"{document['model']}, {document['threads']} threads, {document['isa']}")
    limit_ms = 1e3 * read / bandwidth
    print(f"{bandwidth / 1e9:.1f} GB/s over {read / 1e9:.3f} GB a step: {limit_ms:.1f} ms")
    print("\nrows      step   tok/s    cost of one")
    for row in document["rows"]:
        step_ms, rate = 1e3 * row["step_s"], row["tokens_per_s"]
        print(f"{row['rows']:4d} {step_ms:7.1f} ms {rate:7.1f} {row['cost']:10.2f}")
    print("\ncache   context      step   speed kept")
    for row in document["contexts"]:
        print(
            f"{row['kv_type']:5s} {row['context_tokens']:9,d} {1e3 * row['step_s']:7.1f} ms"
            f" {row['speed_kept']:8.0%}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16, 64])
    parser.add_argument("--contexts", type=int, nargs="+", default=[0, 4096, 16384])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=this_machine().physical_cores)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
