"""OpenVINO GenAI's turns, reading the GGUF itself.

Runs in that peer's environment, with the arguments MODEL.gguf THREADS USERS CONTEXT KV_TOKENS.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import openvino
import openvino_genai
from turns import Task, Turn, serve_turns

_BATCH_TOKENS = 512
_KV_BLOCK_TOKENS = 32


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """Continuous batching, and the plugin's defaults for the rest: KV in 8 bits, activations of
    4-bit matrices quantised as they come.
    """
    path, (threads, users, _context_tokens, kv_tokens) = sys.argv[1], map(int, sys.argv[2:6])
    scheduler = openvino_genai.SchedulerConfig()
    # One block more for each user: the scheduler wants room before it uses it.
    scheduler.num_kv_blocks = kv_tokens // _KV_BLOCK_TOKENS + users
    scheduler.max_num_batched_tokens = _BATCH_TOKENS
    scheduler.max_num_seqs = users
    scheduler.enable_prefix_caching = False
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        path, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
    )
    requests = iter(range(sys.maxsize))

    def work(task: Task) -> Turn:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = task.output_tokens
        config.ignore_eos = True
        config.do_sample = False
        times_s: list[list[float]] = [[] for _ in task.prompts]
        answers: list[list[int]] = [[] for _ in task.prompts]
        start_s = time.perf_counter()
        handles = [
            pipeline.add_request(
                next(requests), openvino.Tensor(np.array([prompt], np.int64)), config
            )
            for prompt in task.prompts
        ]
        while pipeline.has_non_finished_requests():
            pipeline.step()
            now_s = time.perf_counter() - start_s
            for user, handle in enumerate(handles):
                while handle.can_read():
                    for output in handle.read().values():
                        times_s[user] += [now_s] * len(output.generated_ids)
                        answers[user] += output.generated_ids
        return Turn(times_s, list(answers))

    about = {
        "engine": "OpenVINO",
        "version": f"openvino-genai {version('openvino-genai')}",
        "build": openvino.get_version(),
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
