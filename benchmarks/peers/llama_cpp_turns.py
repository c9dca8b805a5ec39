"""llama.cpp's turns, through the server inside the `xllamacpp` wheel, timed by that server itself.

Runs in the peers' environment: `python llama_cpp_turns.py MODEL.gguf THREADS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import xllamacpp
from turns import Task, Turn, serve_turns


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """One slot, a context of 2,048 tokens, and llama.cpp's own defaults for the rest."""
    path, threads = sys.argv[1], int(sys.argv[2])
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def work(task: Task) -> Turn:
        reply = server.handle_completions(
            {
                "prompt": task.prompt_ids,
                "n_predict": task.output_tokens,
                "temperature": 0,
                "ignore_eos": True,
                "cache_prompt": False,
            }
        )
        timings = (reply if isinstance(reply, dict) else json.loads(reply))["timings"]
        assert timings["prompt_n"] == len(task.prompt_ids)
        return Turn(
            prompt_tokens=timings["prompt_n"],
            output_tokens=timings["predicted_n"],
            prefill_s=timings["prompt_ms"] / 1000,
            # The server's clock starts at the first token, so this is the time of the others.
            decode_s=timings["predicted_ms"] / 1000,
        )

    about = {
        "engine": "llama.cpp",
        "version": f"xllamacpp {xllamacpp.__version__}",
        "build": xllamacpp.get_system_info().strip(" |"),
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
