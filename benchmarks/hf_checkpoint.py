"""The checkpoints that vLLM reads, made from a GGUF: the same numbers, in BF16 or as INT8 W8A8.

    python benchmarks/hf_checkpoint.py MODEL.gguf FOLDER --scheme w8a8

W8A8 is the recipe `w8a8-rtn`, rounded to nearest: speed does not depend on how well it was rounded.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from stillhouse.checkpoints import open_gguf
from stillhouse.quantize.compressed import make_folder
from stillhouse.quantize.folder_schemes import folder_scheme

Scheme = Literal["bf16", "w8a8"]

_RECIPES = {"bf16": "bf16", "w8a8": "w8a8-rtn"}


def make_checkpoint(gguf: Path, folder: Path, scheme: Scheme) -> None:
    """Writes the folder, or nothing if it is there already."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open_gguf(gguf) as checkpoint:
        make_folder(checkpoint, folder, folder_scheme(_RECIPES[scheme]), identity=gguf.name)


def main() -> None:
    """Make one checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scheme", choices=("bf16", "w8a8"), required=True)
    arguments = parser.parse_args()
    make_checkpoint(arguments.gguf, arguments.folder, arguments.scheme)


if __name__ == "__main__":
    main()
