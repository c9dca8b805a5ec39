"""A model folder's facts as the metadata of a GGUF file: architecture, tokenizer, template.

The keys and their types are those that llama.cpp's conversion writes (ggml's docs/gguf.md lists
them); what a folder says of rope in our own words is said in GGUF's.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from stillhouse.checkpoints import MetaEntry, MetaValue, meta_entry
from stillhouse.checkpoints.json_object import parse_json_object
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.models.tensors import tensor_shapes
from stillhouse.text.pretokenizers import name_of_cuts
from stillhouse.text.tokenizer_json import vocabulary_of_json
from stillhouse.text.vocabulary import TokenKind, Vocabulary

QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION: of the formats of blocks


def folder_entries(metadata: Mapping[str, MetaValue], config: ModelConfig) -> list[MetaEntry]:
    """All entries but the file's type, from an opened folder's metadata. Raises BadCheckpoint."""
    architecture = config.architecture.name
    count = sum(prod(shape) for shape in tensor_shapes(config.shape).values())
    entries = [
        meta_entry("general.architecture", architecture),
        meta_entry("general.type", "model"),
        meta_entry("general.name", str(metadata["general.name"])),
        meta_entry("general.size_label", _size_label(count)),
    ]
    numbers: dict[str, int | float] = {
        "block_count": config.num_layers,
        "context_length": config.context_length,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.ffn_size,
        "attention.head_count": config.num_heads,
        "attention.head_count_kv": config.num_kv_heads,
        "rope.freq_base": config.rope.base,
        "attention.layer_norm_rms_epsilon": config.rms_eps,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "vocab_size": config.vocab_size,
        "rope.dimension_count": config.head_dim,
    }
    entries += [meta_entry(f"{architecture}.{key}", value) for key, value in numbers.items()]
    entries += _rope_scaling(config)
    return entries + _tokenizer(metadata)


def _rope_scaling(config: ModelConfig) -> list[MetaEntry]:
    """Llama 3's is a tensor of divisors in GGUF files, not metadata."""
    rope, prefix = config.rope, f"{config.architecture.name}.rope.scaling."
    if rope.scaling not in ("linear", "yarn"):
        return []
    entries = [
        meta_entry(prefix + "type", rope.scaling),
        meta_entry(prefix + "factor", rope.factor),
    ]
    if rope.scaling == "yarn":
        entries += [
            meta_entry(prefix + "original_context_length", rope.original_context),
            meta_entry(prefix + "attn_factor", rope.attention_factor),
            meta_entry(prefix + "yarn_beta_fast", rope.beta_fast),
            meta_entry(prefix + "yarn_beta_slow", rope.beta_slow),
        ]
    return entries


def _tokenizer(metadata: Mapping[str, MetaValue]) -> list[MetaEntry]:
    if "tokenizer.huggingface.json" not in metadata:
        return []  # a folder without a tokenizer is a model still, which answers ids
    vocabulary = vocabulary_of_json(metadata)
    name = name_of_cuts(vocabulary.cuts)
    if name is None:
        raise BadCheckpoint(
            "tokenizer.json cuts text in a way that GGUF has no name for here",
            hint="the families R1, Qwen2, Llama 3 and SmolLM2 are known",
        )
    kinds = np.full(len(vocabulary.tokens), TokenKind.NORMAL, np.int32)
    for token_id, kind in vocabulary.kinds.items():
        kinds[token_id] = kind
    entries = [
        meta_entry("tokenizer.ggml.model", "gpt2"),
        meta_entry("tokenizer.ggml.pre", name),
        meta_entry("tokenizer.ggml.tokens", list(vocabulary.tokens)),
        meta_entry("tokenizer.ggml.token_type", kinds),
        meta_entry("tokenizer.ggml.merges", list(vocabulary.merges)),
    ]
    ids = _named_ids(metadata, vocabulary)
    entries += [meta_entry(f"tokenizer.ggml.{key}_token_id", ids[key]) for key in ids]
    entries.append(meta_entry("tokenizer.ggml.add_bos_token", vocabulary.add_bos))
    if "tokenizer.chat_template" in metadata:
        template = str(metadata["tokenizer.chat_template"])
        entries.append(meta_entry("tokenizer.chat_template", template))
    return entries


def _named_ids(metadata: Mapping[str, MetaValue], vocabulary: Vocabulary) -> dict[str, int]:
    ids: dict[str, int] = {}
    if vocabulary.bos_id is not None:
        ids["bos"] = vocabulary.bos_id
    ends = list(dict.fromkeys((vocabulary.eos_id, *vocabulary.end_ids)))
    names = ("eos", "eot", "eom")
    if len(ends) > len(names):
        raise BadCheckpoint(f"it ends at any of {len(ends)} tokens, and GGUF names {len(names)}")
    ids |= dict(zip(names, ends, strict=False))
    settings = parse_json_object(str(metadata.get("tokenizer.huggingface.config", "{}")))
    for name, key in (("unknown", "unk_token"), ("padding", "pad_token")):
        value = settings.values.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and value in vocabulary.tokens:
            ids[name] = list(vocabulary.tokens).index(value)
    return ids


def _size_label(count: int) -> str:
    """135M, 1.5B: as in the names of models."""
    if count < 10**9:
        return f"{round(count / 1e6)}M"
    return f"{round(count / 1e9, 1):g}B"
