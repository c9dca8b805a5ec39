"""vLLM's turns on the CPU.

Runs in that peer's environment, with the arguments FOLDER THREADS USERS CONTEXT KV_TOKENS, where
`hf_checkpoint.py` made FOLDER. vLLM's guide for CPUs wants Intel's OpenMP in LD_PRELOAD, which
`contenders.py` sees to: without it, INT8 decoded less than one token a second on a busy
machine of two cores.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from turns import Task, Turn, serve_turns

_BATCH_TOKENS = 2048


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """In this process, so that no second one takes a core from the threads that compute; KV in
    bfloat16; compiled, as is vLLM's default: that takes minutes the first time and a C++
    compiler; one user then got 15 tok/s in INT8 instead of 8 to 11, beside other work.
    """
    folder = Path(sys.argv[1])
    threads, users, context_tokens, kv_tokens = map(int, sys.argv[2:6])
    os.environ.update(
        OMP_NUM_THREADS=str(threads),
        VLLM_CPU_OMP_THREADS_BIND=f"0-{threads - 1}",
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_NO_USAGE_STATS="1",
        HF_HUB_OFFLINE="1",
    )
    from vllm import LLM, SamplingParams, TokensPrompt  # reads the environment as it is imported

    shape = json.loads((folder / "config.json").read_text())
    head_dim = shape["hidden_size"] // shape["num_attention_heads"]
    numbers = 2 * shape["num_hidden_layers"] * shape["num_key_value_heads"] * head_dim
    llm = LLM(
        str(folder),
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=context_tokens,
        max_num_seqs=users,
        max_num_batched_tokens=_BATCH_TOKENS,
        kv_cache_memory_bytes=2 * numbers * kv_tokens,
        enable_prefix_caching=False,
    )
    engine = llm.llm_engine
    requests = iter(range(sys.maxsize))

    def work(task: Task) -> Turn:
        sampling = SamplingParams(
            temperature=0, max_tokens=task.output_tokens, ignore_eos=True, detokenize=False
        )
        times_s: dict[str, list[float]] = {}
        answers: dict[str, list[int]] = {}
        start_s = time.perf_counter()
        for prompt in task.prompts:
            request = str(next(requests))
            times_s[request] = []
            engine.add_request(request, TokensPrompt(prompt_token_ids=prompt), sampling)
        while engine.has_unfinished_requests():
            outputs = engine.step()
            now_s = time.perf_counter() - start_s
            for output in outputs:
                answers[output.request_id] = token_ids = list(output.outputs[0].token_ids)
                come = len(token_ids) - len(times_s[output.request_id])
                times_s[output.request_id] += [now_s] * come
        return Turn(list(times_s.values()), [answers[request] for request in times_s])

    quantization = engine.model_config.quantization
    about = {
        "engine": "vLLM INT8" if quantization else "vLLM BF16",
        "version": f"vllm-cpu {version('vllm-cpu')}",
        "build": f"compiled, {engine.model_config.dtype}, {quantization or 'not quantised'}",
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
