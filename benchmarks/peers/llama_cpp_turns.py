"""llama.cpp's turns, through the server inside the `xllamacpp` wheel.

Runs in that peer's environment, with the arguments MODEL.gguf THREADS USERS CONTEXT KV_TOKENS.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import xllamacpp
from turns import Task, Turn, serve_turns


def load() -> tuple[dict[str, Any], Callable[[Task], Turn]]:
    """A slot for each user, with KV of its own for a whole context, and llama.cpp's own defaults
    for the rest: batches of 2,048 tokens in pieces of 512, flash attention where it helps, KV in
    float16.
    """
    path, (threads, users, context_tokens) = sys.argv[1], map(int, sys.argv[2:5])
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = users * context_tokens
    params.n_parallel = users
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def work(task: Task) -> Turn:
        users = range(len(task.prompts))
        times_s: list[list[float]] = [[] for _ in users]
        texts = ["" for _ in users]
        start_s = time.perf_counter()

        def follow(user: int) -> None:
            def receive(chunk: dict[str, Any]) -> bool:
                # A chunk tells of every token so far: bytes of a character that is not whole yet
                # are kept back, and so are their tokens.
                now_s = time.perf_counter() - start_s
                come = chunk["timings"]["predicted_n"] - len(times_s[user])
                times_s[user] += [now_s] * come
                texts[user] += chunk["choices"][0]["text"]
                return False  # go on

            server.handle_completions(
                {
                    "prompt": task.prompts[user],
                    "n_predict": task.output_tokens,
                    "temperature": 0,
                    "ignore_eos": True,
                    "cache_prompt": False,
                    "stream": True,
                    "timings_per_token": True,
                },
                receive,
            )

        threads = [threading.Thread(target=follow, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Turn(times_s, list(texts))

    about = {
        "engine": "llama.cpp",
        "version": f"xllamacpp {xllamacpp.__version__}",
        "build": xllamacpp.get_system_info().strip(" |"),
    }
    return about, work


if __name__ == "__main__":
    serve_turns(load)
