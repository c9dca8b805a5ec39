"""Whether vLLM loads our folders, and says with them what Stillhouse says.

    python benchmarks/vllm_texts.py FOLDER [FOLDER ...]

vLLM continues every prompt greedily. Its tokens are then fed to Stillhouse: the texts are the same
up to the first token that would not have been ours, and there the two likeliest ones are compared.
Engines round differently (activations, the KV cache, sums), so where two tokens are nearly as
likely the choice is chance; behind it texts differ, which is why agreement is also counted token by
token on vLLM's text.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from contenders import vllm_preloads

from stillhouse import __version__
from stillhouse.checkpoints import Checkpoint, open_checkpoint
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.quantize.reading import Piece, TextReader
from stillhouse.text import ChatTemplate, Message, Tokenizer

_HERE = Path(__file__).parent
_PROMPTS = (
    "What is the capital of France?",
    "Write a Python function that reverses a list.",
    "A train goes 60 miles in 1.5 hours. How fast is it?",
    "Explain in two sentences why the sky is blue.",
    "List three prime numbers above 20.",
    "Translate to German: The weather is nice today.",
)


def main() -> None:
    """Compare every folder; print a line for each, and write the JSON."""
    arguments = _arguments()
    results = [_compare(folder, arguments) for folder in arguments.folders]
    document = {
        "command": "vllm_texts",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "tokens": arguments.tokens,
        "results": results,
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def _compare(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    with open_checkpoint(folder) as checkpoint:
        prompts = _prompt_ids(checkpoint)
        answers = _vllm(folder, prompts, arguments)
        texts = _texts(checkpoint, prompts, answers, arguments.threads)
    same = sum(text["first_difference"] is None for text in texts)
    agreement = sum(text["agreeing"] for text in texts) / sum(len(ids) for ids in answers)
    gaps = [text["margin"] for text in texts if text["margin"] is not None]
    print(
        f"{folder.name}: {same} of {len(texts)} texts the same; token by token {agreement:.2%};"
        f" margins at the first difference: {', '.join(f'{gap:.3f}' for gap in gaps) or 'none'}",
        flush=True,
    )
    return {"folder": folder.name, "same_texts": same, "agreement": agreement, "texts": texts}


def _prompt_ids(checkpoint: Checkpoint) -> list[list[int]]:
    tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
    template = ChatTemplate.from_metadata(checkpoint.metadata, tokenizer)
    return [tokenizer.encode(template.render([Message("user", text)])) for text in _PROMPTS]


def _vllm(folder: Path, prompts: list[list[int]], arguments: argparse.Namespace) -> list[list[int]]:
    environment = arguments.environments / "vllm"
    settings = {
        "LD_PRELOAD": vllm_preloads(environment),
        "OMP_NUM_THREADS": str(arguments.threads),
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{arguments.threads - 1}",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_CPU_INT4_W4A8": "0",  # it would round activations where the scheme does not
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [
        environment / "bin/python", _HERE / "peers/vllm_greedy.py", folder.resolve(),
        arguments.tokens,
    ]  # fmt: skip
    run = subprocess.run(
        list(map(str, command)),
        input=json.dumps(prompts),
        capture_output=True,
        text=True,
        env=os.environ | settings,
    )
    if run.returncode:
        raise SystemExit(f"vLLM failed on {folder}:\n{run.stderr[-3000:]}")
    answers: list[list[int]] = json.loads(run.stdout.splitlines()[-1])
    return answers


def _texts(
    checkpoint: Checkpoint, prompts: list[list[int]], answers: list[list[int]], threads: int
) -> list[dict[str, Any]]:
    tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
    longest = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    reader = TextReader(checkpoint, window=longest, threads=threads)
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids, start = np.array(prompt + answer, np.int32), len(prompt)
        reader.read(ids, Piece(0, start - 1, False))
        logits = reader.read(ids, Piece(start - 1, len(ids) - 1, True))
        ours, chosen = logits.argmax(axis=1), np.array(answer)
        wrong = np.flatnonzero(ours != chosen)
        first = int(wrong[0]) if len(wrong) else None
        margin = None
        if first is not None:
            margin = float(logits[first, ours[first]] - logits[first, chosen[first]])
        found.append(
            {
                "prompt": tokenizer.decode(prompt),
                "vllm": tokenizer.decode(answer),
                "first_difference": first,
                "margin": margin,
                "agreeing": int((ours == chosen).sum()),
                "tokens": len(answer),
            }
        )
    reader.close()
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--environments", type=Path, default=_HERE / "peers/.venv")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=_HERE / "results/vllm_texts.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
