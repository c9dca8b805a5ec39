"""A high-precision stand-in for a model of which only a quantised file is to be had.

    python benchmarks/dithered.py qwen2.5-coder:1.5b FILE.gguf

Decoded weights lie on their file's own grid: whoever quantises them to that format again loses
nothing, which says nothing. So noise goes onto every matrix, in each 32 numbers in proportion to
their own root mean square, about as much as rounding to four bits makes, and the result is written
as BF16. It is a model of its own, nearly as good; what a quantisation of it loses, it really loses.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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
from stillhouse.quantize.rows import encode_rows

_ROWS = 4096  # at a time
_BLOCK = 32
_THREADS = 2


def main() -> None:
    """Write the stand-in; norms and biases stay as they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("target", type=Path)
    parser.add_argument("--share", type=float, default=0.005, help="of the weights' squares")
    arguments = parser.parse_args()
    write_dithered(arguments.model, arguments.target, arguments.share)


def write_dithered(model: str, target: Path, share: float = 0.005) -> None:
    """The same noise each time: its seed is fixed."""
    source = hub.resolve(model)
    with open_checkpoint(source) as checkpoint:
        tensors = [one for one in checkpoint.tensors.values() if isinstance(one, EncodedTensor)]
        assert len(tensors) == len(checkpoint.tensors), "a GGUF file is asked for"
        specs = [
            TensorSpec(one.name, one.shape, by_name("BF16") if len(one.shape) > 1 else one.encoding)
            for one in tensors
        ]
        random = np.random.default_rng(0)
        data = (one.raw if len(one.shape) < 2 else _noisy(one, share, random) for one in tensors)
        write_gguf(target, read_entries(source), specs, data)


def _noisy(tensor: EncodedTensor, share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    return np.concatenate(list(_pieces(tensor, share, random)))


def _pieces(
    tensor: EncodedTensor, share: float, random: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    rows, columns = tensor.shape
    for first in range(0, rows, _ROWS):
        values = tensor.decode_rows(np.arange(first, min(first + _ROWS, rows)))
        blocks = values.reshape(-1, _BLOCK)
        deviation = np.sqrt(share * np.square(blocks).mean(axis=1, keepdims=True))
        blocks += deviation * random.standard_normal(blocks.shape, np.float32)
        yield encode_rows("BF16", blocks.reshape(-1, columns), threads=_THREADS)


if __name__ == "__main__":
    main()
