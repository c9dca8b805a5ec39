"""Models on disk, opened by content: GGUF files and folders of safetensors."""

from stillhouse.checkpoints.checkpoint import Checkpoint, Tensor
from stillhouse.checkpoints.compressed import CompressedTensor
from stillhouse.checkpoints.folder import open_folder
from stillhouse.checkpoints.gguf import open_gguf, read_gguf_metadata
from stillhouse.checkpoints.gguf_entries import MetaEntry, ValueType, meta_entry, read_entries
from stillhouse.checkpoints.gguf_writer import TensorSpec, write_gguf
from stillhouse.checkpoints.metadata import Metadata, MetaValue
from stillhouse.checkpoints.opening import open_checkpoint
from stillhouse.checkpoints.tensor import EncodedTensor

__all__ = [
    "Checkpoint",
    "CompressedTensor",
    "EncodedTensor",
    "MetaEntry",
    "MetaValue",
    "Metadata",
    "Tensor",
    "TensorSpec",
    "ValueType",
    "meta_entry",
    "open_checkpoint",
    "open_folder",
    "open_gguf",
    "read_entries",
    "read_gguf_metadata",
    "write_gguf",
]
