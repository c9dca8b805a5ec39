"""What a checkpoint says about its model, checked once and then trusted.

`ModelConfig.from_metadata` is the border: every figure that later sizes an array, divides another
or bounds a loop is checked here, and nothing inside checks it again. These are facts only; what
they cost is in `cost.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from stillhouse.catalog.shapes import ArchitectureName, Shape
from stillhouse.errors import BadCheckpoint

RopeKind = Literal["interleaved", "half"]
RopeScaling = Literal["none", "linear", "yarn", "llama3"]
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What sets one decoder apart from the others; the rest they share.

    GGUF files of `llama` hold query and key rows permuted so that the pairs that rope turns are
    neighbours (2i with 2i + 1: "interleaved"); the Qwens' pair i with i + dim/2 ("half"), and so
    does llama in folders of safetensors.
    """

    name: ArchitectureName
    rope_kind: RopeKind
    has_qkv_bias: bool = False
    has_qk_norm: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("llama", rope_kind="interleaved"),
    "qwen2": Architecture("qwen2", rope_kind="half", has_qkv_bias=True),
    "qwen3": Architecture("qwen3", rope_kind="half", has_qk_norm=True),
}


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary position embedding: how positions turn queries and keys.

    Pair i of `dim` / 2 turns by position * base^(-2i / dim) radians. "linear" divides that by
    `factor`. "yarn" (arXiv:2309.00071) does so for pairs that make fewer than `beta_slow` turns in
    `original_context` tokens, leaves those above `beta_fast` alone, blends between, and multiplies
    cosines and sines by `attention_factor` * (1 + 0.1 ln factor). "llama3" divides pairs that make
    fewer than `low_turns` turns in `original_context` tokens, leaves those above `high_turns`
    alone, and blends between. GGUF files say it otherwise: a divisor for each pair, in the tensor
    `rope_freqs.weight`.
    """

    kind: RopeKind
    dim: int
    base: float
    scaling: RopeScaling = "none"
    factor: float = 1.0
    original_context: int = 0  # tokens; 0 where nothing is scaled
    attention_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    low_turns: float = 1.0
    high_turns: float = 4.0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a decoder: counts positive and within the limits below, divisions even."""

    architecture: Architecture
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    vocab_size: int
    context_length: int
    rms_eps: float
    rope: RopeConfig
    tied_embeddings: bool

    @property
    def shape(self) -> Shape:
        """What decides the number and sizes of weights, as the catalogue has it for its models."""
        return Shape(
            architecture=self.architecture.name,
            num_layers=self.num_layers,
            hidden_size=self.hidden_size,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            ffn_size=self.ffn_size,
            vocab_size=self.vocab_size,
            tied_embeddings=self.tied_embeddings,
            has_qkv_bias=self.architecture.has_qkv_bias,
            has_qk_norm=self.architecture.has_qk_norm,
        )

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, object], *, tied_embeddings: bool = False
    ) -> ModelConfig:
        """Reads GGUF keys, where tied embeddings have none: a tied file has no `output.weight`.

        Raises BadCheckpoint for an unknown architecture and for a figure that is missing or absurd.
        """
        name = metadata.get("general.architecture")
        if not isinstance(name, str):
            raise BadCheckpoint("the file does not say its architecture (general.architecture)")
        if name not in ARCHITECTURES:
            raise BadCheckpoint(
                f"architecture '{name[:64]}' is not supported",
                hint=f"supported: {', '.join(sorted(ARCHITECTURES))}",
            )
        architecture = ARCHITECTURES[name]
        keys = _Keys(metadata, name)
        if keys.count("expert_count", _MAX_HEADS, default=0, minimum=0) > 0:
            raise BadCheckpoint(f"{name} with a mixture of experts is not supported")

        hidden_size = keys.count("embedding_length", _MAX_WIDTH)
        num_heads = keys.count("attention.head_count", _MAX_HEADS)
        num_kv_heads = keys.count("attention.head_count_kv", _MAX_HEADS, default=num_heads)
        if num_heads % num_kv_heads:
            raise BadCheckpoint(
                f"{num_heads} query heads cannot share {num_kv_heads} KV heads evenly"
            )
        head_dim = keys.count(
            "attention.key_length", _MAX_HEAD_DIM, default=hidden_size // num_heads
        )
        if "attention.key_length" not in keys and hidden_size % num_heads:
            raise BadCheckpoint(f"width {hidden_size} does not divide into {num_heads} heads")
        value_dim = keys.count("attention.value_length", _MAX_HEAD_DIM, default=head_dim)
        if value_dim != head_dim:
            raise BadCheckpoint(f"keys of {head_dim} with values of {value_dim} are not supported")

        tokens = metadata.get("tokenizer.ggml.tokens")
        num_tokens = len(tokens) if isinstance(tokens, list) else None
        context_length = keys.count("context_length", _MAX_CONTEXT)
        return cls(
            architecture=architecture,
            num_layers=keys.count("block_count", _MAX_LAYERS),
            hidden_size=hidden_size,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=head_dim,
            ffn_size=keys.count("feed_forward_length", _MAX_WIDTH),
            vocab_size=keys.count("vocab_size", _MAX_VOCAB, default=num_tokens),
            context_length=context_length,
            rms_eps=keys.number("attention.layer_norm_rms_epsilon", 0.0, 0.1),
            rope=_rope(keys, architecture, head_dim, context_length),
            tied_embeddings=tied_embeddings,
        )


# Far above every published model (Llama 405B: 126 layers, width 16,384, FFN 53,248, 128 heads;
# vocabularies reach 262,144) and low enough that no product of two overflows an int64.
_MAX_LAYERS = 1_024
_MAX_WIDTH = 1 << 18
_MAX_HEADS = 1_024
_MAX_HEAD_DIM = 1_024
_MAX_VOCAB = 1 << 21
_MAX_CONTEXT = 1 << 24


def _rope(
    keys: _Keys, architecture: Architecture, head_dim: int, context_length: int
) -> RopeConfig:
    dim = keys.count("rope.dimension_count", head_dim, default=head_dim)
    if dim != head_dim:
        raise BadCheckpoint(f"rope over {dim} of {head_dim} dimensions is not supported")
    if dim % 2:
        raise BadCheckpoint(f"{dim} rotary dimensions are odd, and they turn in pairs")
    base = keys.number("rope.freq_base", 1.0, 1e12, default=10_000.0)
    kinds: tuple[RopeKind, ...] = ("interleaved", "half")
    kind = keys.choice("rope.pairing", kinds, default=architecture.rope_kind)
    scalings: tuple[RopeScaling, ...] = ("none", "linear", "yarn", "llama3")
    scaling = keys.choice("rope.scaling.type", scalings, default="none")
    factor = keys.number("rope.scaling.factor", 0.0, 1e4, default=1.0)
    if scaling == "none" or factor == 1.0:
        return RopeConfig(kind, dim, base)
    if scaling == "linear":
        return RopeConfig(kind, dim, base, "linear", factor)
    original_context = keys.count(
        "rope.scaling.original_context_length", _MAX_CONTEXT, default=context_length
    )
    if scaling == "llama3":
        low = keys.number("rope.scaling.low_freq_factor", 0.0, 1e6)
        high = keys.number("rope.scaling.high_freq_factor", 0.0, 1e6)
        if low >= high:
            raise BadCheckpoint(f"llama3's low_freq_factor {low:g} is not below {high:g}")
        return RopeConfig(
            kind, dim, base, "llama3", factor, original_context, low_turns=low, high_turns=high
        )
    beta_fast = keys.number("rope.scaling.yarn_beta_fast", 0.0, 1e6, default=32.0)
    beta_slow = keys.number("rope.scaling.yarn_beta_slow", 0.0, 1e6, default=1.0)
    if beta_slow >= beta_fast:
        raise BadCheckpoint(f"yarn's beta_slow {beta_slow:g} is not below beta_fast {beta_fast:g}")
    return RopeConfig(
        kind,
        dim,
        base,
        "yarn",
        factor,
        original_context,
        attention_factor=keys.number("rope.scaling.attn_factor", 0.0, 1e3, default=1.0),
        beta_fast=beta_fast,
        beta_slow=beta_slow,
    )


class _Keys:
    """The keys of one architecture (`<arch>.block_count`), read with their ranges."""

    def __init__(self, metadata: Mapping[str, object], prefix: str) -> None:
        self._metadata = metadata
        self._prefix = prefix

    def __contains__(self, key: str) -> bool:
        return f"{self._prefix}.{key}" in self._metadata

    def count(self, key: str, maximum: int, *, default: int | None = None, minimum: int = 1) -> int:
        value = self._metadata.get(f"{self._prefix}.{key}", default)
        if value is None:
            raise BadCheckpoint(f"the file does not say {self._prefix}.{key}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadCheckpoint(f"{self._prefix}.{key} is not one whole number")
        if not minimum <= value <= maximum:
            raise BadCheckpoint(f"{self._prefix}.{key} is {value}, not in {minimum} to {maximum}")
        return value

    def number(
        self, key: str, above: float, maximum: float, *, default: float | None = None
    ) -> float:
        value = self._metadata.get(f"{self._prefix}.{key}", default)
        if value is None:
            raise BadCheckpoint(f"the file does not say {self._prefix}.{key}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadCheckpoint(f"{self._prefix}.{key} is not one number")
        if not math.isfinite(value) or not above < value <= maximum:
            raise BadCheckpoint(
                f"{self._prefix}.{key} is {value:g}, not in ({above:g}, {maximum:g}]"
            )
        return float(value)

    def choice(self, key: str, known: tuple[_Choice, ...], *, default: _Choice) -> _Choice:
        value = self._metadata.get(f"{self._prefix}.{key}", default)
        for name in known:
            if value == name:
                return name
        raise BadCheckpoint(
            f"{self._prefix}.{key} '{str(value)[:64]}' is not supported",
            hint=f"supported: {', '.join(known)}",
        )
