"""From an opened checkpoint to a model that runs."""

from __future__ import annotations

import os

from stillhouse.checkpoints import Checkpoint, EncodedTensor
from stillhouse.kernels.isa import Isa, detect
from stillhouse.models.config import ModelConfig
from stillhouse.models.decoder import Decoder, Progress
from stillhouse.models.weights import pack_weights


def load_model(
    checkpoint: Checkpoint,
    *,
    threads: int | None = None,
    isa: Isa | None = None,
    progress: Progress | None = None,
) -> Decoder:
    """Pack the weights and compile the kernels. The checkpoint must stay open: embeddings are read
    from it.

    ``progress(stage, done, total)``: stage "weights" counts bytes, "kernels" kernels. Raises
    BadCheckpoint.
    """
    tensors = checkpoint.tensors
    config = ModelConfig.from_metadata(
        checkpoint.metadata, tied_embeddings="output.weight" not in tensors
    )
    count = threads or os.cpu_count() or 1
    weights = pack_weights(config, tensors, threads=count, progress=progress)
    embeddings = tensors["token_embd.weight"]
    assert isinstance(embeddings, EncodedTensor), "only linear modules are read as compressed"
    return Decoder(
        config,
        weights,
        embeddings,
        threads=count,
        isa=detect() if isa is None else isa,
        progress=progress,
    )
