"""Whole files: `still quantize` beside `llama-quantize`, from one source, by turns.

    python benchmarks/quantize_files.py SOURCE.gguf --llama-quantize PROGRAM --peers PYTHON \
        --imatrix IMATRIX.gguf --text FILE --recipes q4_k_m,iq2_xxs --output FILE.json

For each recipe both programs write the file, `--rounds` times by turns with equal threads, each
timed from its start to its end. Then llama.cpp (the `xllamacpp` wheel) reads both files: their
perplexities on the text's first `--tokens`, and what it writes to `--question` from ours. Sizes are
compared to the byte. Programs that refuse a recipe without an importance matrix get one; others get
one with `--imatrix-for all`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from perplexity import perplexity, read_text
from turns import Task, Worker

from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.questions import Speech
from stillhouse.text import Tokenizer

_HERE = Path(__file__).parent
_NEED_IMATRIX = ("IQ1", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S")
_CONTEXT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe. `text` is llama.cpp's continuation, from the file that `still` wrote."""

    recipe: str
    has_imatrix: bool
    our_bytes: int
    their_bytes: int
    our_s: list[float]
    their_s: list[float]
    our_perplexity: float
    their_perplexity: float
    text: str

    @property
    def speedup(self) -> float:
        """The median over rounds of their time to ours."""
        return median(b / a for a, b in zip(self.our_s, self.their_s, strict=True))


def main() -> None:
    """Every recipe; a table, and the JSON if asked."""
    arguments = _arguments()
    with open_gguf(arguments.source) as checkpoint:
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
        ids = tokenizer.encode(read_text(arguments.text, 1 << 20).decode())[: arguments.tokens]
        speech = Speech.from_metadata(checkpoint.metadata)
        asked = speech.question(
            arguments.question, context_tokens=_CONTEXT_TOKENS, max_tokens=arguments.output_tokens
        )
        prompt = [int(i) for i in asked.request.prompt_ids]
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for recipe in arguments.recipes.split(","):
            rows.append(_recipe(arguments, recipe.upper(), Path(folder), ids, prompt))
            _print(rows[-1])
            if arguments.output:
                _save(arguments, rows)


def _save(arguments: argparse.Namespace, rows: list[Row]) -> None:
    document = {
        "command": "quantize_files",
        "commit": commit(),
        "machine": this_machine().as_json(),
        "source": arguments.source.name,
        "source_bytes": arguments.source.stat().st_size,
        "threads": arguments.threads,
        "question": arguments.question,
        "results": [asdict(row) | {"speedup": row.speedup} for row in rows],
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def _recipe(
    arguments: argparse.Namespace, recipe: str, folder: Path, ids: list[int], prompt: list[int]
) -> Row:
    ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
    wants = arguments.imatrix_for == "all" or recipe.startswith(_NEED_IMATRIX)
    threads = str(arguments.threads)
    still = [sys.executable, "-m", "stillhouse.cli.main", "quantize", arguments.source, ours]
    still += ["--recipe", recipe, "--threads", threads, "--force"]
    llama = [arguments.llama_quantize]
    if wants:
        still += ["--imatrix", arguments.imatrix]
        llama += ["--imatrix", arguments.imatrix]
    llama += ["--allow-requantize", arguments.source, theirs, recipe, threads]
    our_s: list[float] = []
    their_s: list[float] = []
    for round_ in range(arguments.rounds):
        turns = [(still, ours, our_s), (llama, theirs, their_s)]
        for command, target, times_s in turns if round_ % 2 == 0 else reversed(turns):
            target.unlink(missing_ok=True)
            times_s.append(_timed(command))
    context = str(_CONTEXT_TOKENS)
    worker = Worker(
        arguments.peers,
        _HERE / "peers/llama_cpp_turns.py",
        str(ours),
        threads,
        "1",
        context,
        context,
    )
    (text,) = worker.ask(Task([prompt], arguments.output_tokens)).answers
    worker.close()
    return Row(
        recipe,
        wants,
        ours.stat().st_size,
        theirs.stat().st_size,
        our_s,
        their_s,
        _perplexity(arguments, ours, ids, folder),
        _perplexity(arguments, theirs, ids, folder),
        str(text),
    )


def _timed(command: list[Any]) -> float:
    start_s = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start_s


def _perplexity(arguments: argparse.Namespace, model: Path, ids: list[int], folder: Path) -> float:
    """llama.cpp's, over windows of 512 tokens."""
    source, target = folder / "windows.npz", folder / "scores.npz"
    starts = range(0, len(ids) - 1, _CONTEXT_TOKENS)
    windows: dict[str, Any] = {
        f"window_{n}": np.array(ids[start : start + _CONTEXT_TOKENS], np.int32)
        for n, start in enumerate(starts)
    }
    np.savez(source, **windows)
    scores = _HERE / "peers/llama_cpp_scores.py"
    command = [arguments.peers, scores, model, source, target, "--threads", arguments.threads]
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)
    with np.load(target) as found:
        return perplexity([found[f"chosen_{n}"] for n in range(len(windows))])


def _print(row: Row) -> None:
    size = "equal" if row.our_bytes == row.their_bytes else f"{row.our_bytes - row.their_bytes:+,}"
    print(
        f"{row.recipe:8} {'imatrix' if row.has_imatrix else '':8} {row.our_bytes:>13,} B"
        f"  size {size:>8}  {min(row.our_s):6.2f} s, llama-quantize {min(row.their_s):6.2f} s,"
        f" {row.speedup:5.2f}x  perplexity {row.our_perplexity:9.4f},"
        f" llama-quantize's {row.their_perplexity:9.4f}  {row.text[:40]!r}",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--llama-quantize", type=Path, required=True, metavar="PROGRAM")
    parser.add_argument("--peers", required=True, help="the Python of llama.cpp's environment")
    parser.add_argument("--imatrix", type=Path, required=True)
    parser.add_argument("--imatrix-for", choices=("needed", "all"), default="needed")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--recipes", required=True, metavar="LIST")
    parser.add_argument("--question", default="What is 17 + 25? Answer with a sentence.")
    parser.add_argument("--output-tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the files go while it runs")
    parser.add_argument("--output", type=Path, help="where to write the JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
