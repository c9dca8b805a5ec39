"""Whether `still bench` and vLLM's own client, `vllm bench serve`, see the same server alike.

    python benchmarks/agreement.py                          # the 1.5B, one user, seven rounds
    python benchmarks/agreement.py --model smollm2:135m --rounds 5 --output agreement.json

Both ask one `still serve`, in turns, with as many requests at once and prompts and outputs of the
same length; a ratio is the median of the rounds' own. vLLM's client draws random tokens, and counts
them without the template that the server puts around them: ours is asked for both together.

With several users two things differ that are not the measurement: outputs of one length keep users
in step or out of step, whichever way they begin, and out of step each new prompt holds up all the
others. One user cannot be out of step, so that is the default. Needs vLLM's environment, which
`make bench` sets up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from contenders import vllm_preloads

from stillhouse import __version__, hub
from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.text.tokenizer_files import tokenizer_files

_HERE = Path(__file__).parent
_PROMPT_METRIC = "vllm:prompt_tokens_total{"
# Our name of a figure, and theirs; theirs are milliseconds where ours are seconds.
_FIGURES = {
    "output_tokens_per_s": ("output_throughput", 1.0),
    "requests_per_s": ("request_throughput", 1.0),
    "ttft_s.mean": ("mean_ttft_ms", 1e-3),
    "ttft_s.p50": ("median_ttft_ms", 1e-3),
    "tpot_s.mean": ("mean_tpot_ms", 1e-3),
    "tpot_s.p50": ("median_tpot_ms", 1e-3),
    "e2e_s.p50": ("median_e2el_ms", 1e-3),
}


def main() -> None:
    """Measure in turns, print the ratios, write the JSON."""
    arguments = _arguments()
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    with _served(arguments) as url, tempfile.TemporaryDirectory() as work:
        tokenizer = Path(work) / "tokenizer"
        _write_tokenizer(arguments.model, tokenizer)
        for number in range(arguments.rounds):
            before = _prompt_tokens(url)
            theirs.append(_vllm_bench(arguments, url, tokenizer, number))
            counted = (_prompt_tokens(url) - before) / arguments.requests
            ours.append(_still_bench(arguments, url, round(counted)))
            print(f"round {number}: {_line(ours[-1], theirs[-1])}", file=sys.stderr, flush=True)
    figures = {}
    for name, (their_name, scale) in _FIGURES.items():
        mine = [_figure(cell, name) for cell in ours]
        other = [scale * one[their_name] for one in theirs]
        ratios = [a / b for a, b in zip(mine, other, strict=True)]
        figures[name] = {"still_bench": mine, "vllm_bench": other, "ratio": median(ratios)}
        print(f"{name:22} {median(mine):10.4f} {median(other):10.4f}  {median(ratios):.3f}")
    document = {
        "command": "agreement",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "users": arguments.users,
        "requests": arguments.requests,
        "rounds": arguments.rounds,
        "prompt_tokens": [cell["mean_prompt_tokens"] for cell in ours],
        "figures": figures,
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def _line(mine: dict[str, Any], other: dict[str, Any]) -> str:
    parts = (
        f"{name} {_figure(mine, name):.4g} / {scale * other[their_name]:.4g}"
        for name, (their_name, scale) in _FIGURES.items()
    )
    return ", ".join(parts)


def _figure(cell: dict[str, Any], name: str) -> float:
    first, _, rest = name.partition(".")
    return float(cell[first][rest] if rest else cell[first])


def _still_bench(arguments: argparse.Namespace, url: str, prompt_tokens: int) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "stillhouse.cli.main", "bench", "--url", url, "--json",
        "--users", str(arguments.users), "--requests", str(arguments.requests),
        "--prompt-tokens", str(prompt_tokens), "--output-tokens", str(arguments.tokens),
    ]  # fmt: skip
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    (cell,) = json.loads(run.stdout)["results"]
    assert isinstance(cell, dict)
    return cell


def _vllm_bench(
    arguments: argparse.Namespace, url: str, tokenizer: Path, seed: int
) -> dict[str, Any]:
    """What vLLM's client says of a run. Without its probe, which asks the first prompt twice: the
    second time the server knows it.
    """
    environment = arguments.environments / "vllm"
    result = tokenizer.parent / f"{seed}.json"
    command = [
        environment / "bin/python", _HERE / "peers/vllm_command.py", "bench", "serve",
        "--backend", "openai-chat", "--base-url", url, "--endpoint", "/v1/chat/completions",
        "--model", arguments.model, "--tokenizer", tokenizer, "--dataset-name", "random",
        "--random-input-len", str(arguments.tokens), "--random-output-len", str(arguments.tokens),
        "--num-prompts", str(arguments.requests), "--max-concurrency", str(arguments.users),
        "--ready-check-timeout-sec", "0", "--ignore-eos", "--disable-tqdm",
        "--seed", str(time.time_ns() % 2**31),
        "--save-result", "--result-filename", result.name, "--result-dir", result.parent,
        "--percentile-metrics", "ttft,tpot,itl,e2el",
    ]  # fmt: skip
    settings = {
        "LD_PRELOAD": vllm_preloads(environment),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings)
    if run.returncode:
        raise SystemExit(f"vllm bench serve failed:\n{run.stderr[-2000:]}")
    document = json.loads(result.read_text())
    assert document["completed"] == arguments.requests, document
    assert isinstance(document, dict)
    return document


def _prompt_tokens(url: str) -> float:
    """All that the server has been asked so far, as it counts them: templates too."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    values = [line.rpartition(" ")[2] for line in lines if line.startswith(_PROMPT_METRIC)]
    return sum(map(float, values))


def _write_tokenizer(model: str, folder: Path) -> None:
    folder.mkdir()
    with open_gguf(hub.resolve(model)) as checkpoint:
        for name, text in tokenizer_files(checkpoint.metadata).items():
            (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def _served(arguments: argparse.Namespace) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "stillhouse.cli.main", "serve", arguments.model,
        "--port", str(port), "--users", str(arguments.users), "--context", "1024",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server was not ready after 120 s"
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--environments", type=Path, default=_HERE / "peers/.venv")
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64, help="of prompts, and of outputs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=_HERE / "results/agreement.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
