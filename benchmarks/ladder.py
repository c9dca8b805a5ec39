"""A ladder of quantisations of one model: made, measured, and set in a table, by one command.

    python benchmarks/ladder.py qwen2.5-coder:1.5b --calibration FILE --text FILE \
        --rungs q8_0,q4_k_m,iq2_xxs,w8a8,w4a16,fp8 --output benchmarks/results/ladder.json

A model of which only a quantised file is to be had is written in BF16 with noise first
(`dithered.py` says why), and every rung is made from that: GGUF recipes with an importance matrix
of the calibration text, folders of compressed-tensors with the same text. Then `still quality`
reads `--text`, which should be another one. Files stay in `--folder`, and are not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from dithered import write_dithered

from stillhouse.quantize.folder_schemes import SCHEMES


def main() -> None:
    """Make what is missing, then measure all."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    source, imatrix = arguments.folder / "bf16.gguf", arguments.folder / "imatrix.gguf"
    threads = ("--threads", str(arguments.threads))
    if not source.exists():
        write_dithered(arguments.model, source)
    if not imatrix.exists():
        words = ["--text", arguments.calibration, "--tokens", arguments.imatrix_tokens]
        _still("imatrix", arguments.model, imatrix, *words, *threads)
    rungs = []
    for name in arguments.rungs.lower().split(","):
        is_folder = name in SCHEMES
        rung = arguments.folder / (name if is_folder else f"{name}.gguf")
        rungs.append(rung)
        if rung.exists():
            continue
        recipe, _, size = name.partition("-") if name.startswith("dynamic-") else (name, "", "")
        words = ["quantize", source, rung, "--recipe", recipe]
        if size:
            words += ["--size", size]
        if not is_folder:
            words += ["--imatrix", imatrix, *threads]
        elif SCHEMES[name].needs_text:
            words += ["--text", arguments.calibration, "--samples", arguments.samples]
        _still(*words)
    words = ["quality", source, *rungs, "--text", arguments.text, "--tokens", arguments.tokens]
    words += ["--speed", *threads, "--markdown", arguments.output.with_suffix(".md"), "--json"]
    if arguments.html:
        words += ["--html", arguments.html]
    document = json.loads(_still(*words))
    document["model"] = source.name  # wherever its folder lay
    arguments.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _still(*words: object) -> str:
    """Run the command; what it printed."""
    command = [sys.executable, "-m", "stillhouse.cli.main", *map(str, words)]
    print("still", *command[3:], file=sys.stderr)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="what `still` takes: a name, a path")
    parser.add_argument("--rungs", required=True, metavar="LIST", help="recipes; dynamic-0.9GB")
    parser.add_argument("--calibration", type=Path, required=True, metavar="FILE")
    parser.add_argument("--imatrix-tokens", type=int, default=16384)
    parser.add_argument("--samples", type=int, default=16, help="of 512 tokens, for folders")
    parser.add_argument("--text", type=Path, required=True, metavar="FILE")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True, help="where the files are put")
    parser.add_argument("--output", type=Path, required=True, help="the JSON; a table beside it")
    parser.add_argument("--html", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
