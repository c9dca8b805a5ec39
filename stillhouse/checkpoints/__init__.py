"""Models on disk, opened by content: GGUF files and folders of safetensors."""

from stillhouse.checkpoints.checkpoint import Checkpoint, Tensor
from stillhouse.checkpoints.compressed import CompressedTensor
from stillhouse.checkpoints.folder import open_folder
from stillhouse.checkpoints.gguf import open_gguf, read_gguf_metadata
from stillhouse.checkpoints.metadata import Metadata, MetaValue
from stillhouse.checkpoints.opening import open_checkpoint
from stillhouse.checkpoints.tensor import EncodedTensor

__all__ = [
    "Checkpoint",
    "CompressedTensor",
    "EncodedTensor",
    "MetaValue",
    "Metadata",
    "Tensor",
    "open_checkpoint",
    "open_folder",
    "open_gguf",
    "read_gguf_metadata",
]
