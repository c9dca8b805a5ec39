"""Right numbers: perplexity of a text with Stillhouse and with llama.cpp, on the same token ids.

    python benchmarks/perplexity.py --peers PYTHON --text FILE smollm2:135m qwen2.5-coder:1.5b

The first `--bytes` of the text are tokenized once (by Stillhouse; llama.cpp's tokenizer must give
the same ids) and cut into windows. Each window starts from an empty cache, and every token in it
but the first is scored. Perplexity is exp of the mean negative log-probability. Beside it stands
the mean absolute difference between the two engines' log-probabilities of llama.cpp's likeliest
token. FILE is plain text, or `.jsonl` whose string values are taken in order, a line each.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse import hub
from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.text import Tokenizer

_HERE = Path(__file__).parent
_PEER = _HERE / "peers/llama_cpp_scores.py"
_CHUNK_TOKENS = 128  # logits of 128 positions and 152,064 tokens are 78 MB

Ids = NDArray[np.int32]
Logprobs = NDArray[np.float32]


class Scores(NamedTuple):
    """Of one window of n tokens, each (n - 1,): of the next tokens, and of the likeliest ones."""

    chosen: Logprobs
    top: Ids
    top_logprob: Logprobs


def main() -> None:
    """Score every model with both engines; print a table, and write the JSON if asked."""
    arguments = _arguments()
    text = read_text(arguments.text, arguments.bytes)
    results = [_compare(reference, text, arguments) for reference in arguments.models]
    print("| model | tokens | llama.cpp | stillhouse | difference | top token's log-probability |")
    print("|---|---|---|---|---|---|")
    for result in results:
        print(
            f"| {result['model']} | {result['tokens']} | {result['llama_cpp_perplexity']:.4f}"
            f" | {result['stillhouse_perplexity']:.4f} | {result['relative_difference']:+.3%}"
            f" | {result['top_logprob_mean_abs_difference']:.4f} |"
        )
    if arguments.output:
        document = {
            "command": "perplexity",
            "commit": commit(),
            "machine": this_machine().as_json(),
            "text_bytes": len(text),
            "window_tokens": arguments.window,
            "kv_type": arguments.kv_type,
            "results": results,
        }
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def read_text(path: Path, max_bytes: int) -> bytes:
    """The text's first bytes, cut before a character that would be halved."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        rows = (json.loads(line) for line in text.splitlines() if line)
        text = "\n".join(v for row in rows for v in row.values() if isinstance(v, str))
    return text.encode()[:max_bytes].decode(errors="ignore").encode()


def _compare(reference: str, text: bytes, arguments: argparse.Namespace) -> dict[str, Any]:
    path = hub.resolve(reference, progress=hub.TerminalProgress())
    with open_gguf(path) as checkpoint:
        token_ids = Tokenizer.from_metadata(checkpoint.metadata).encode(text.decode())
        windows = [
            np.array(token_ids[start : start + arguments.window], np.int32)
            for start in range(0, len(token_ids) - 1, arguments.window)
        ]
        with tempfile.TemporaryDirectory() as folder:
            _check_peer_ids(arguments, path, text, token_ids, Path(folder))
            theirs = _peer_scores(arguments, path, windows, Path(folder))
        ours, at_their_top = _our_scores(arguments, checkpoint, windows, theirs)
    their_perplexity = perplexity([scores.chosen for scores in theirs])
    our_perplexity = perplexity(ours)
    their_top = np.concatenate([scores.top_logprob for scores in theirs])
    return {
        "model": reference,
        "tokens": len(token_ids),
        "windows": len(windows),
        "llama_cpp_perplexity": their_perplexity,
        "stillhouse_perplexity": our_perplexity,
        "relative_difference": our_perplexity / their_perplexity - 1,
        "top_logprob_mean_abs_difference": float(
            np.abs(np.concatenate(at_their_top) - their_top).mean()
        ),
    }


def perplexity(logprobs: list[Logprobs]) -> float:
    """exp of the mean negative log-probability over all windows."""
    return math.exp(-np.concatenate(logprobs).mean(dtype=np.float64))


def _our_scores(
    arguments: argparse.Namespace, checkpoint: Any, windows: list[Ids], theirs: list[Scores]
) -> tuple[list[Logprobs], list[Logprobs]]:
    """Log-probabilities of each window's next tokens, and of llama.cpp's likeliest ones."""
    model = load_model(checkpoint, threads=arguments.threads)
    num_blocks = -(-arguments.window // BLOCK_TOKENS)
    kv = KVCache(model.config, num_blocks=num_blocks, kv_type=arguments.kv_type)
    chosen, at_their_top = [], []
    for ids, scores in zip(windows, theirs, strict=True):
        rows = []
        for start in range(0, len(ids) - 1, _CHUNK_TOKENS):
            positions = np.arange(start, min(start + _CHUNK_TOKENS, len(ids) - 1), dtype=np.int32)
            batch = Batch(
                token_ids=ids[positions],
                positions=positions,
                sequence_index=np.zeros_like(positions),
                block_tables=np.arange(num_blocks, dtype=np.int32)[np.newaxis],
                logit_rows=np.arange(len(positions), dtype=np.int32),
            )
            logits = model.forward(batch, kv)
            index = np.arange(len(positions))
            pair = np.stack(
                [logits[index, ids[positions + 1]], logits[index, scores.top[positions]]]
            )
            rows.append(pair - _log_total(logits))
        window = np.concatenate(rows, axis=1).astype(np.float32)
        chosen.append(window[0])
        at_their_top.append(window[1])
    model.close()
    return chosen, at_their_top


def _log_total(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """log(sum(exp(logits))) of each row, in float64, row by row to stay small."""
    peaks = logits.max(axis=1).astype(np.float64)
    totals = [np.exp(row - peak).sum() for row, peak in zip(logits, peaks, strict=True)]
    return np.asarray(peaks + np.log(totals))


def _peer_scores(
    arguments: argparse.Namespace, path: Path, windows: list[Ids], folder: Path
) -> list[Scores]:
    source, target = folder / "windows.npz", folder / "scores.npz"
    arrays: dict[str, Any] = {f"window_{i}": ids for i, ids in enumerate(windows)}
    np.savez(source, **arrays)
    _run_peer(arguments, path, source, target)
    with np.load(target) as found:
        return [
            Scores(found[f"chosen_{i}"], found[f"top_{i}"], found[f"top_logprob_{i}"])
            for i in range(len(windows))
        ]


def _check_peer_ids(
    arguments: argparse.Namespace, path: Path, text: bytes, token_ids: list[int], folder: Path
) -> None:
    source, target = folder / "text.txt", folder / "ids.json"
    source.write_bytes(text)
    _run_peer(arguments, path, source, target, "--tokenize")
    if json.loads(target.read_text()) != token_ids:
        raise SystemExit(f"{path.name}: llama.cpp cuts the text into other tokens")


def _run_peer(arguments: argparse.Namespace, *words: Any) -> None:
    command = [arguments.peers, _PEER, *words, "--threads", arguments.threads]
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--bytes", type=int, default=50_000)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv-type", choices=("bf16", "q8_0"), default="bf16")
    parser.add_argument("--output", type=Path, help="where to write the JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
