"""The shapes of models: every figure that decides how many weights there are, and of what size.

They are facts of a model's own ``config.json``; what they cost is worked out in ``models/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

ArchitectureName = Literal["qwen2", "llama", "qwen3", "deepseek2"]


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts: a router gives each token ``used`` of ``count`` networks.

    ``shared`` more see every token, and the first ``dense_layers`` layers have one wide network.
    """

    count: int
    used: int
    shared: int
    ffn_size: int  # width of one expert
    dense_layers: int


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (MLA, arXiv:2405.04434): a token keeps ``kv_rank`` + ``rope_dim``
    numbers from which the keys and values of all heads follow.

    A head's query and key have ``plain_dim`` numbers that know no position and ``rope_dim`` that
    do; its value has ``value_dim``.
    """

    query_rank: int
    kv_rank: int
    rope_dim: int
    plain_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's shape. ``ffn_size`` is that of dense layers; experts have their own."""

    architecture: ArchitectureName
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    vocab_size: int
    tied_embeddings: bool = False
    has_qkv_bias: bool = False
    has_qk_norm: bool = False
    has_rope_factors: bool = False  # Llama 3's: GGUF files hold a divisor for each pair
    experts: Experts | None = None
    latent: LatentAttention | None = None


@dataclass(frozen=True, slots=True)
class TokenizerBytes:
    """What a GGUF file's metadata take, nearly all of it the vocabulary.

    ``metadata_bytes`` counts from the start of the file to the table of tensors, which follows.
    """

    metadata_bytes: int
    source: str


def shape_from(entry: Mapping[str, Any], architecture: ArchitectureName) -> Shape:
    """A ``[model.shape]`` table as a Shape; a missing or an unknown key is our own mistake."""
    assert architecture in get_args(ArchitectureName), architecture
    assert entry["source"]
    figures = {key: value for key, value in entry.items() if key != "source"}
    experts, latent = figures.pop("experts", None), figures.pop("latent", None)
    return Shape(
        architecture=architecture,
        has_qkv_bias=architecture == "qwen2",
        has_qk_norm=architecture == "qwen3",
        experts=Experts(**experts) if experts else None,
        latent=LatentAttention(**latent) if latent else None,
        **figures,
    )
