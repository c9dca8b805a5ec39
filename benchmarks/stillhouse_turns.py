"""Stillhouse's turns: `python stillhouse_turns.py MODEL THREADS USERS CONTEXT KV_TOKENS`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turns import Task, Turn, serve_turns

import stillhouse
from stillhouse.checkpoints import open_checkpoint
from stillhouse.engine import Engine, Request, SamplingParams
from stillhouse.kernels import isa
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """KV for as many users and tokens as the peers have, and the engine's defaults for the rest."""
    path = Path(sys.argv[1])
    threads, users, context_tokens, kv_tokens = map(int, sys.argv[2:6])
    model = load_model(open_checkpoint(path), threads=threads)
    kv = KVCache(model.config, num_blocks=kv_tokens // BLOCK_TOKENS, kv_type="bf16")
    engine = Engine(model, kv, context_tokens=context_tokens, max_sequences=users)

    def work(task: Task) -> Turn:
        sampling = SamplingParams(
            temperature=0, max_tokens=task.output_tokens, ignore_eos=True, stop_ids=frozenset()
        )
        start_s = time.perf_counter()
        ids = [engine.submit(Request(tuple(prompt), sampling)) for prompt in task.prompts]
        times_s: dict[int, list[float]] = {request_id: [] for request_id in ids}
        answers: dict[int, list[int]] = {request_id: [] for request_id in ids}
        while engine.has_work:
            events = engine.step()
            now_s = time.perf_counter() - start_s
            for event in events:
                assert event.token_id is not None
                times_s[event.request_id].append(now_s)
                answers[event.request_id].append(event.token_id)
        return Turn(list(times_s.values()), list(answers.values()))

    about = {
        "engine": "stillhouse",
        "version": stillhouse.__version__,
        "build": f"{isa.detect().label} kernels",
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
