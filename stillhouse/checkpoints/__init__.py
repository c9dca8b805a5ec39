"""Model files on disk, opened by content: GGUF."""

from stillhouse.checkpoints.checkpoint import Checkpoint
from stillhouse.checkpoints.gguf import open_gguf, read_gguf_metadata
from stillhouse.checkpoints.metadata import Metadata, MetaValue
from stillhouse.checkpoints.tensor import EncodedTensor

__all__ = [
    "Checkpoint",
    "EncodedTensor",
    "MetaValue",
    "Metadata",
    "open_gguf",
    "read_gguf_metadata",
]
