"""One user on this machine: Stillhouse and llama.cpp take turns in one run, on the same model and
prompts.

    make bench                                            # Qwen2.5-Coder-1.5B, 512 + 64 tokens, 5
    rounds python benchmarks/decode_prefill.py --peers PYTHON --model REFERENCE --rounds 9

Each round gives every engine the same fresh random prompt (so no cache helps) and has it write
greedily past any end token. The first round only warms up. Prefill is prompt tokens over the time
to the first token; decode is the other tokens over the rest of the time. Figures are medians over
the rounds, and ratios are medians of the rounds' own ratios: on a shared machine only those can be
compared. Memory bandwidth is measured between the rounds, and is the limit of decoding: every token
reads the weights once.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from turns import Task, Turn, Worker

from stillhouse import __version__, hub
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.kernels import bandwidth

_HERE = Path(__file__).parent
_FIRST_ID, _LAST_ID = 1_000, 40_000  # within every vocabulary that is measured


def main() -> None:
    """Run the rounds, write the JSON and the table beside it, and print the table."""
    arguments = _arguments()
    path = hub.resolve(arguments.model, progress=hub.TerminalProgress())
    threads = str(arguments.threads)
    workers = [
        Worker(sys.executable, _HERE / "stillhouse_turns.py", str(path), threads),
        Worker(arguments.peers, _HERE / "peers/llama_cpp_turns.py", str(path), threads),
    ]
    names = [str(worker.about["engine"]) for worker in workers]
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    bandwidths: list[float] = []
    generator = random.Random(arguments.seed)
    for round_number in range(arguments.rounds + 1):
        prompt = [generator.randint(_FIRST_ID, _LAST_ID) for _ in range(arguments.prompt_tokens)]
        task = Task(prompt, arguments.output_tokens)
        bandwidths.append(bandwidth.measure_read_bytes_per_s(arguments.threads))
        for worker, name in zip(workers, names, strict=True):
            turn = worker.ask(task)
            if round_number > 0:
                turns[name].append(turn)
            print(
                f"round {round_number} {name:12}{turn.prefill_tokens_per_s:8.1f} prefill"
                f"{turn.decode_tokens_per_s:8.2f} decode tok/s",
                file=sys.stderr,
            )
    for worker in workers:
        worker.close()

    document = _document(arguments, path, [worker.about for worker in workers], turns, bandwidths)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    table = _table(document)
    arguments.output.with_suffix(".md").write_text(table)
    print(table, end="")


def _document(
    arguments: argparse.Namespace,
    path: Path,
    abouts: list[dict[str, Any]],
    turns: dict[str, list[Turn]],
    bandwidths: list[float],
) -> dict[str, Any]:
    read_bytes_per_s = median(bandwidths)
    step_bytes = abouts[0]["step_bytes"]
    limit = read_bytes_per_s / step_bytes
    results = []
    for about in abouts:
        own = turns[about["engine"]]
        decode = median(turn.decode_tokens_per_s for turn in own)
        results.append(
            about
            | {
                "prefill_tokens_per_s": median(turn.prefill_tokens_per_s for turn in own),
                "decode_tokens_per_s": decode,
                "ttft_s": median(turn.prefill_s for turn in own),
                "roofline_share": decode / limit,
                "rounds": [asdict(turn) for turn in own],
            }
        )
    ours, peer = (turns[about["engine"]] for about in abouts)
    pairs = list(zip(ours, peer, strict=True))
    return {
        "command": "decode_prefill",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "model_bytes": path.stat().st_size,
        "threads": arguments.threads,
        "users": 1,
        "prompt_tokens": arguments.prompt_tokens,
        "output_tokens": arguments.output_tokens,
        "read_bandwidth_bytes_per_s": read_bytes_per_s,
        "limit_decode_tokens_per_s": limit,
        "results": results,
        "ratios": {
            "prefill": median(a.prefill_tokens_per_s / b.prefill_tokens_per_s for a, b in pairs),
            "decode": median(a.decode_tokens_per_s / b.decode_tokens_per_s for a, b in pairs),
        },
    }


def _table(document: dict[str, Any]) -> str:
    """The limit first, then what was measured under it."""
    machine, ratios = document["machine"], document["ratios"]
    ours, peer = document["results"]
    lines = [
        f"`{document['model']}` on {machine['cpu']}, {document['threads']} threads, one user, "
        f"{document['prompt_tokens']} prompt and {document['output_tokens']} output tokens.",
        "",
        f"The limit: {document['read_bandwidth_bytes_per_s'] / 1e9:.1f} GB/s of memory over "
        f"{ours['step_bytes'] / 1e9:.2f} GB read for a token is "
        f"{document['limit_decode_tokens_per_s']:.1f} tok/s.",
        "",
        "| | prefill, tok/s | decode, tok/s | of the limit |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {result['engine']} ({result['version']}) | {result['prefill_tokens_per_s']:.0f} "
        f"| {result['decode_tokens_per_s']:.1f} | {result['roofline_share']:.0%} |"
        for result in (ours, peer)
    ]
    lines.append(f"| **ratio** | **{ratios['prefill']:.1f}** | **{ratios['decode']:.2f}** | |")
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=_HERE / "results/decode_prefill.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
