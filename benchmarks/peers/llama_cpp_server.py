"""llama.cpp's HTTP server, out of the `xllamacpp` wheel, until it is interrupted.

    python benchmarks/peers/llama_cpp_server.py MODEL.gguf --port 8124 --users 16 --context 512

Runs in that peer's environment, with llama.cpp's own defaults but for slots, threads and context.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import xllamacpp


def main() -> None:
    """Serve, with a slot and a context of its own for each user."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8124)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--context", type=int, default=512, help="tokens of each user")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chat-template", type=Path, help="a file, instead of the model's own")
    arguments = parser.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    params.model_alias = {Path(arguments.model).stem}
    params.n_parallel = arguments.users
    params.n_ctx = arguments.users * arguments.context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = arguments.threads
    params.port = arguments.port
    if arguments.chat_template is not None:
        params.chat_template = arguments.chat_template.read_text(encoding="utf-8")
    server = xllamacpp.Server(params)
    print(f"serving on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
