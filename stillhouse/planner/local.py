"""The weights of a file that is on this machine, from its own table of tensors."""

from __future__ import annotations

from stillhouse import hub
from stillhouse.checkpoints import Checkpoint, EncodedTensor, open_checkpoint
from stillhouse.errors import UsageError
from stillhouse.models.config import ModelConfig
from stillhouse.planner.weights import Weights


def loaded_weights(reference: str) -> tuple[Weights, int]:
    """Of a model that has been pulled, and how many tokens its vocabulary has.

    Raises what `hub.resolve` and opening a checkpoint do.
    """
    with open_checkpoint(hub.resolve(reference)) as checkpoint:
        return weights_of(checkpoint, reference), vocabulary_of(checkpoint)


def vocabulary_of(checkpoint: Checkpoint) -> int:
    """Tokens that have a text."""
    tokens = checkpoint.metadata.get("tokenizer.ggml.tokens")
    return len(tokens) if isinstance(tokens, list) else 0


def weights_of(checkpoint: Checkpoint, reference: str) -> Weights:
    """Of an open GGUF file. Raises UsageError for a folder, whose forms are chosen when loading."""
    tensors = {n: t for n, t in checkpoint.tensors.items() if isinstance(t, EncodedTensor)}
    if len(tensors) < len(checkpoint.tensors):
        raise UsageError("compressed folders are planned from the catalogue, not from their files")
    config = ModelConfig.from_metadata(
        checkpoint.metadata, tied_embeddings="output.weight" not in tensors
    )
    largest = max(tensors.values(), key=lambda tensor: tensor.num_bytes)
    return Weights(
        reference,
        str(checkpoint.metadata.get("general.name", reference)),
        largest.format_name,
        config.shape,
        {name: tensor.num_bytes for name, tensor in tensors.items()},
        {name: tensor.encoding for name, tensor in tensors.items()},
        checkpoint.file_bytes,
        "its own table of tensors",
    )
