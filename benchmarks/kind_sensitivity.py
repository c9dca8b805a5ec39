"""How much an error in each kind of matrix matters: in the first layer, the last, and between.

    python benchmarks/kind_sensitivity.py --text FILE smollm2:135m qwen2.5-coder:0.5b [--json FILE]

Gaussian noise is added to the matrices of one kind in the first layer, in all those between, or in
the last, so much that the square of the error is a set share of the square of the weights, and the
KL divergence from the model as it was is measured on a text. Where errors are small it grows in
proportion to the share, and those of different matrices add up (arXiv:2411.17525, "linearity
theorem"). What is printed is divergence by share, a matrix. The geometric means of two models are
what `stillhouse/quantize/sensitivity.py` weighs errors by.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse import hub
from stillhouse.checkpoints import (
    EncodedTensor,
    TensorSpec,
    open_checkpoint,
    read_entries,
    write_gguf,
)
from stillhouse.encodings import by_name
from stillhouse.models.config import ModelConfig
from stillhouse.models.tensors import matrices
from stillhouse.quantize.divergence import divergences
from stillhouse.quantize.reading import Piece, TextReader
from stillhouse.quantize.rows import encode_rows
from stillhouse.text import Tokenizer

_THREADS = 2


def main() -> None:
    """Measure every model; print a table of each, and write the JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=384)
    parser.add_argument("--share", type=float, default=0.02, help="of the weights' squares")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for reference in arguments.models:
        found = _measure(hub.resolve(reference), arguments)
        results[reference] = found
        print(f"## {reference}: KL divergence by share of error, one matrix")
        for kind, values in found.items():
            print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def _measure(path: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    with open_checkpoint(path) as checkpoint:
        is_tied = "output.weight" not in checkpoint.tensors
        shape = ModelConfig.from_metadata(checkpoint.metadata, tied_embeddings=is_tied).shape
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
        text = arguments.text.read_text(encoding="utf-8")[: 16 * arguments.tokens]
        ids = np.array(tokenizer.encode(text)[: arguments.tokens], np.int32)
    names = [*dict.fromkeys(("token_embd.weight", *matrices(shape)))]
    groups: dict[tuple[str, int], list[str]] = {}
    for name in names:
        parts = name.split(".")
        layer = int(parts[1]) if parts[0] == "blk" else 0
        depth = 0 if layer == 0 else 2 if layer == shape.num_layers - 1 else 1
        groups.setdefault((parts[-2], depth), []).append(name)
    source = _logits(path, ids)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for (kind, _), members in sorted(groups.items()):
            noisy = _with_noise(path, Path(folder) / "noisy.gguf", members, arguments.share)
            kl = divergences(source, _logits(noisy, ids), ids[1:]).kl.mean()
            found.setdefault(kind, []).append(float(kl) / arguments.share / len(members))
    return found


def _with_noise(path: Path, target: Path, names: list[str], share: float) -> Path:
    """The model with noise in these matrices, which become Q8_0; all else stays as it is."""
    with open_checkpoint(path) as checkpoint:
        specs, data = [], []
        for name, tensor in checkpoint.tensors.items():
            assert isinstance(tensor, EncodedTensor)
            encoding = by_name("Q8_0") if name in names else tensor.encoding
            specs.append(TensorSpec(name, tensor.shape, encoding))
            data.append(_noisy(tensor, share) if name in names else tensor.raw)
        write_gguf(target, read_entries(path), specs, data)
    return target


def _noisy(tensor: EncodedTensor, share: float) -> NDArray[np.uint8]:
    values = tensor.decode()
    rng = np.random.default_rng(len(tensor.name) + tensor.start)
    deviation = float(np.sqrt(share * np.square(values, dtype=np.float64).mean()))
    noise = rng.standard_normal(values.shape, np.float32)
    return encode_rows("Q8_0", values + np.float32(deviation) * noise, threads=_THREADS)


def _logits(path: Path, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Of every position but the last, (n - 1, vocabulary)."""
    with open_checkpoint(path) as checkpoint:
        reader = TextReader(checkpoint, window=len(ids), threads=_THREADS)
        starts = range(0, len(ids) - 1, 128)
        pieces = [Piece(at, min(at + 128, len(ids) - 1), True) for at in starts]
        rows = [reader.read(ids, piece).copy() for piece in pieces]
        reader.close()
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
