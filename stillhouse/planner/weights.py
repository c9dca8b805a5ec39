"""The weights that a plan is about: of a file that is here, or predicted before it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from stillhouse.catalog import HubFiles, Model, Shape, models
from stillhouse.encodings import Encoding
from stillhouse.errors import UsageError
from stillhouse.models.file_size import predicted_file
from stillhouse.models.folder_size import SCHEMES, folder_tensors

# "Deployment-Ready Reasoning Models", neuralmagic.com, February 2025: all R1 distills, as folders
# that vLLM serves, in three schemes.
_FOLDER_PUBLISHER = "neuralmagic"
_FOLDER_FAMILY = "r1-distill-"
_FOLDER_ENDINGS = {"FP8": "FP8-dynamic", "INT8": "quantized.w8a8", "W4A16": "quantized.w4a16"}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in a quantisation: bytes of each tensor, and where that is known from.

    `encodings` is empty for folders of safetensors. Where only the size of a whole file is known,
    it is one entry, `*`.
    """

    model: str  # the reference to run it by
    title: str
    quantization: str
    shape: Shape
    tensor_bytes: Mapping[str, int]
    encodings: Mapping[str, Encoding]
    file_bytes: int
    source: str

    @property
    def is_folder(self) -> bool:
        """Safetensors, which vLLM serves, and not a GGUF file."""
        return not self.encodings

    @property
    def total_bytes(self) -> int:
        return sum(self.tensor_bytes.values())

    @property
    def embedding_bytes(self) -> int:
        """Of the table that a token's row is looked up in; 0 where the head needs it too."""
        if self.shape.tied_embeddings:
            return 0
        if "*" in self.tensor_bytes:
            return 2 * self.shape.vocab_size * self.shape.hidden_size
        return self.tensor_bytes["token_embd.weight"]


def predicted_weights(model: Model, quantization: str) -> Weights:
    """A file of the catalogue's, tensor by tensor, or a folder in a scheme of compressed-tensors.

    Raises UsageError for a quantisation that nobody has described.
    """
    return _predicted(model.name, quantization.upper())


def quantizations_of(model: Model, among: Collection[str] | None = None) -> tuple[str, ...]:
    """Those that are published and described, the largest first; of `among` and dynamic ones."""
    found = []
    for name in model.quantizations:
        if among is not None and name not in among and not name.startswith("UD-"):
            continue
        try:
            found.append((predicted_weights(model, name).file_bytes, name))
        except UsageError:
            continue
    return tuple(name for _, name in sorted(found, reverse=True))


def folder_quantizations(model: Model) -> tuple[str, ...]:
    """Schemes of compressed-tensors that its folders are published in."""
    return tuple(_FOLDER_ENDINGS) if model.name.startswith(_FOLDER_FAMILY) else ()


def folder_repo(model: Model, quantization: str) -> str:
    """Where such a folder is."""
    return f"{_FOLDER_PUBLISHER}/{model.title}-{_FOLDER_ENDINGS[quantization]}"


def gguf_repo(model: Model, quantization: str) -> str:
    """Where a GGUF file is, with its quantisation, as llama.cpp's `-hf` takes it."""
    for files in model.files:
        if isinstance(files, HubFiles) and quantization in files.quantizations:
            return f"{files.repo}:{quantization}"
    return f"{model.title}:{quantization}"


@cache
def _predicted(name: str, wanted: str) -> Weights:
    model = next(one for one in models() if one.name == name)
    if wanted in SCHEMES and wanted != "BF16":
        tensors = folder_tensors(model.shape, wanted)
        return Weights(
            model.name,
            model.title,
            wanted,
            model.shape,
            tensors,
            {},
            sum(tensors.values()),
            f"predicted: its shapes in {wanted}",
        )
    file = predicted_file(model, wanted)
    published = next(
        (part.sizes_bytes[wanted] for part in model.files if wanted in part.sizes_bytes), None
    )
    source = "predicted from its shapes and the mixture"
    if published is not None:
        source += f"; published as {published / 1e9:.2f} GB"
    return Weights(
        f"{model.name}:{wanted.lower()}",
        model.title,
        wanted,
        model.shape,
        file.sizes(),
        {tensor.name: tensor.encoding for tensor in file.tensors},
        file.total_bytes,
        source,
    )
