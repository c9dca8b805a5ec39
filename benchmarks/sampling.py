"""What it costs to draw a token from a real model's logits.

    python benchmarks/sampling.py --text gsm8k_test.jsonl --json benchmarks/results/sampling.json

The model reads the text, and a token is drawn from the logits of each position, in rounds over the
ways to sample. Microseconds are means over the positions, the least of the rounds: a step waits for
all of its users, so dear positions count as often as they come. The share is of a step of sixteen
users, whose tokens are drawn one after the other. A file that is there is added to.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse import hub
from stillhouse.checkpoints import open_checkpoint
from stillhouse.cli.document import commit
from stillhouse.engine.sampler import Sampler, SamplingParams
from stillhouse.hardware import this_machine
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.text import Tokenizer

_USERS = 16
_WAYS = {
    "greedy": SamplingParams(1, temperature=0.0),
    "temperature 0.7, top-p 0.8, top-k 20 (Qwen)": SamplingParams(
        1, temperature=0.7, top_p=0.8, top_k=20
    ),
    "temperature 0.6, top-p 0.95 (DeepSeek)": SamplingParams(1, temperature=0.6, top_p=0.95),
    "temperature 1": SamplingParams(1, temperature=1.0),
}


def main() -> None:
    """Measure, print a line for each way, and write the JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logits, step_s = _read(arguments)
    sampler, rng = Sampler(logits.shape[1]), np.random.default_rng(0)
    spent_s: dict[str, list[float]] = {name: [] for name in _WAYS}
    for _ in range(arguments.rounds):
        for name, params in _WAYS.items():
            start_s = time.perf_counter()
            for row in logits:
                sampler.sample(row, params, rng)
            spent_s[name].append((time.perf_counter() - start_s) / len(logits))
    ways = []
    for name, times_s in spent_s.items():
        share = _USERS * min(times_s) / (step_s + _USERS * min(times_s))
        ways.append({"sampling": name, "token_s": min(times_s), "share_of_step": share})
        print(f"{name:45} {1e6 * min(times_s):6.0f} us a token, {share:6.1%} of a step of {_USERS}")
    if arguments.json is not None:
        runs = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
        runs.append(_document(arguments, logits.shape[1], step_s, ways))
        arguments.json.write_text(json.dumps(runs, indent=2) + "\n")


def _read(arguments: argparse.Namespace) -> tuple[NDArray[np.float32], float]:
    """Logits of every position, and seconds of a step of sixteen users in the middle of it."""
    with open_checkpoint(hub.resolve(arguments.model)) as checkpoint:
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
        text = arguments.text.read_text(encoding="utf-8")[: 16 * arguments.tokens]
        ids = np.array(tokenizer.encode(text)[: arguments.tokens], np.int32)
        blocks = -(-len(ids) // BLOCK_TOKENS)
        model = load_model(checkpoint, threads=this_machine().physical_cores)
        try:
            kv = KVCache(model.config, _USERS * blocks, "bf16")
            rows = np.arange(len(ids), dtype=np.int32)
            tables = np.arange(_USERS * blocks, dtype=np.int32).reshape(_USERS, blocks)
            whole = Batch(ids, rows, np.zeros_like(rows), tables[:1], rows)
            logits = model.forward(whole, kv).copy()
            users = np.arange(_USERS, dtype=np.int32)
            at = np.full(_USERS, len(ids) // 2, np.int32)
            step = Batch(ids[:_USERS].copy(), at, users, tables, users)
            steps_s = []
            for _ in range(2 * arguments.rounds):
                start_s = time.perf_counter()
                model.forward(step, kv)
                steps_s.append(time.perf_counter() - start_s)
        finally:
            model.close()
    return logits, min(steps_s)


def _document(
    arguments: argparse.Namespace, vocab_size: int, step_s: float, ways: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "command": "sampling",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "vocabulary": vocab_size,
        "tokens": arguments.tokens,
        "rounds": arguments.rounds,
        "step_s": step_s,
        "ways": ways,
    }


if __name__ == "__main__":
    main()
