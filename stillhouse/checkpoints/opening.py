"""Opening a model by what lies at its path."""

from __future__ import annotations

from pathlib import Path

from stillhouse.checkpoints.checkpoint import Checkpoint
from stillhouse.checkpoints.folder import open_folder
from stillhouse.checkpoints.gguf import open_gguf

_OF_A_FOLDER = (".json", ".safetensors", ".jinja")


def open_checkpoint(path: Path) -> Checkpoint:
    """Map a GGUF file, or a folder of safetensors (given as itself or by one of its files).

    Raises ModelNotFound and BadCheckpoint, as `open_gguf` and `open_folder` do.
    """
    if path.is_dir():
        return open_folder(path)
    if path.suffix.lower() in _OF_A_FOLDER:
        return open_folder(path.parent)
    return open_gguf(path)
