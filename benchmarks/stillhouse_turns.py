"""Stillhouse's turns, on token ids: `python stillhouse_turns.py MODEL.gguf THREADS`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turns import Task, Turn, serve_turns

import stillhouse
from stillhouse.checkpoints import open_gguf
from stillhouse.engine import Engine, Request, SamplingParams
from stillhouse.kernels import isa
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model

_CONTEXT_TOKENS = 2048


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """A context of 2,048 tokens, as the peers have, and the engine's defaults for the rest."""
    path, threads = Path(sys.argv[1]), int(sys.argv[2])
    start_s = time.perf_counter()
    checkpoint = open_gguf(path)
    model = load_model(checkpoint, threads=threads)
    # One block more than the context: the engine keeps finished prompts until their blocks are
    # needed.
    kv = KVCache(model.config, num_blocks=_CONTEXT_TOKENS // BLOCK_TOKENS + 1, kv_type="bf16")
    engine = Engine(model, kv, context_tokens=_CONTEXT_TOKENS)
    load_s = time.perf_counter() - start_s

    def work(task: Task) -> Turn:
        sampling = SamplingParams(
            temperature=0, max_tokens=task.output_tokens, ignore_eos=True, stop_ids=frozenset()
        )
        start_s = time.perf_counter()
        times_s = [
            time.perf_counter() for _ in engine.generate(Request(tuple(task.prompt_ids), sampling))
        ]
        assert len(times_s) == task.output_tokens
        return Turn(
            prompt_tokens=len(task.prompt_ids),
            output_tokens=task.output_tokens,
            prefill_s=times_s[0] - start_s,
            decode_s=times_s[-1] - times_s[0],
        )

    about = {
        "engine": "stillhouse",
        "version": stillhouse.__version__,
        "build": f"{isa.detect().label} kernels",
        "load_s": load_s,
        "step_bytes": model.step_bytes(context_tokens=512),
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
