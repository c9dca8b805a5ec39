"""What FP8, INT8 and INT4 folders lose: ours and llm-compressor's, calibrated on the same tokens.

    python benchmarks/compressed.py --model smollm2:135m --group 64 \
        --text calibration.jsonl --held-out other.jsonl --work FOLDER

Both start from the same folder in BF16, and the divergence from it is measured by Stillhouse on a
text that neither saw. The peer's environment is made of vLLM's (`peers/vllm.txt`), whose path goes
into a .pth file of it, and of `peers/llmcompressor.txt`, installed with --no-deps. Folders that are
in the work folder already are not made again, but for their times.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse import __version__, hub
from stillhouse.checkpoints import open_checkpoint
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.quantize.compressed import make_folder
from stillhouse.quantize.folder_schemes import folder_scheme
from stillhouse.quantize.quality import Candidate, measure_ladder, text_windows
from stillhouse.quantize.texts import read_text, windows
from stillhouse.text import Tokenizer

_HERE = Path(__file__).parent
_SCHEMES = ("fp8", "w8a8", "w4a16")
_WINDOW = 512


def main() -> None:
    """Make every folder, measure it, print a table and write the JSON."""
    arguments = _arguments()
    if arguments.make is not None:  # in a process of its own, so that its memory is its own
        _make(arguments)
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    base = _base(arguments)
    made: dict[str, dict[str, Any]] = {}
    for scheme in arguments.schemes:
        made[f"stillhouse {scheme}"] = _ours(arguments, scheme)
        made[f"llm-compressor {scheme}"] = _theirs(arguments, base, scheme)
    results = _measured(arguments, base, made)
    print("| folder | KL | ± | same top | perplexity | seconds | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for one in results:
        print(
            f"| {one['name']} | {one['kl']:.5f} | {one['kl_error']:.5f} | {one['same_top']:.2%}"
            f" | {one['perplexity']:.3f} | {one['seconds']:.0f}"
            f" | {one['peak_bytes'] / 1e9:.2f} GB |"
        )
    document = {
        "command": "compressed",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "text": arguments.text.name,
        "samples": arguments.samples,
        "sample_tokens": arguments.tokens,
        "held_out": arguments.held_out.name,
        "held_out_tokens": arguments.held_out_tokens,
        "group": arguments.group,
        "results": results,
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def _base(arguments: argparse.Namespace) -> Path:
    """The source as a folder in BF16, and beside it the tokens that all are calibrated with."""
    folder: Path = arguments.work / "bf16"
    with open_checkpoint(hub.resolve(arguments.model)) as checkpoint:
        if not folder.exists():
            make_folder(checkpoint, folder, folder_scheme("bf16"))
        ids = Tokenizer.from_metadata(checkpoint.metadata).encode(read_text(arguments.text))
    used = windows(ids, size=arguments.tokens)[: arguments.samples]
    if len(used) < arguments.samples:
        raise SystemExit(
            f"{arguments.text} has {len(used)} samples, and {arguments.samples} are asked"
        )
    np.save(arguments.work / "windows.npy", np.stack(used))
    return folder


def _ours(arguments: argparse.Namespace, scheme: str) -> dict[str, Any]:
    folder = arguments.work / f"stillhouse-{scheme}"
    return _once(folder, [sys.executable, __file__, *sys.argv[1:], "--make", scheme])


def _theirs(arguments: argparse.Namespace, base: Path, scheme: str) -> dict[str, Any]:
    group = arguments.group or 0 if scheme == "w4a16" else 0
    folder = arguments.work / f"llmcompressor-{scheme}"
    script = _HERE / "peers/llmcompressor_folder.py"
    words = (base, folder, scheme, group, arguments.work / "windows.npy")
    return _once(folder, [str(arguments.peer), str(script), *map(str, words)])


def _once(folder: Path, command: list[str]) -> dict[str, Any]:
    """Run the command that makes a folder, unless it did before; what it said at the end."""
    said = folder.with_suffix(".json")
    if not said.exists():
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"{folder.name} failed:\n{run.stderr[-2000:]}")
        said.write_text(run.stdout.splitlines()[-1])
    return {"folder": folder, **json.loads(said.read_text())}


def _make(arguments: argparse.Namespace) -> None:
    name: str = arguments.make
    group = arguments.group if name == "w4a16" else None
    tokens = np.load(arguments.work / "windows.npy")
    start_s = time.perf_counter()
    with open_checkpoint(arguments.work / "bf16") as checkpoint:
        scheme = folder_scheme(name, group_columns=group)
        make_folder(checkpoint, arguments.work / f"stillhouse-{name}", scheme, windows=tokens)
    about = {
        "version": __version__,
        "seconds": time.perf_counter() - start_s,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(about))


def _measured(
    arguments: argparse.Namespace, base: Path, made: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    text = read_text(arguments.held_out)
    with ExitStack() as opened:
        source, *others = [
            Candidate(name, opened.enter_context(open_checkpoint(folder)))
            for name, folder in (("bf16", base), *((n, o["folder"]) for n, o in made.items()))
        ]
        read = text_windows([source], text, size=_WINDOW, max_tokens=arguments.held_out_tokens)
        free_bytes = this_machine().available_memory_bytes
        ladder = measure_ladder(
            source, others, read, threads=arguments.threads, memory_bytes=free_bytes
        )
    return [
        {
            "name": one.name,
            "kl": one.figures.kl.value,
            "kl_error": one.figures.kl.error,
            "same_top": one.figures.same_top.value,
            "perplexity": one.figures.perplexity.value,
            "source_perplexity": one.figures.source_perplexity.value,
            "file_bytes": sum(
                f.stat().st_size for f in made[one.name]["folder"].glob("*.safetensors")
            ),
            **{key: made[one.name][key] for key in ("version", "seconds", "peak_bytes")},
        }
        for one in ladder.measured
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--schemes", nargs="+", choices=_SCHEMES, default=list(_SCHEMES))
    parser.add_argument("--group", type=int, help="columns of a group, for w4a16")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=512, help="of a sample")
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--held-out-tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer", type=Path, default=_HERE / "peers/.venv/llmcompressor/bin/python")
    parser.add_argument("--output", type=Path, default=_HERE / "results/compressed.json")
    parser.add_argument("--make", choices=_SCHEMES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
