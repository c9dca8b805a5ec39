"""The small files of a model folder, from what a checkpoint says about itself: config.json,
generation_config.json, and those of the tokenizer.

Keys are those of transformers' configuration classes; `quantization_config` is compressed-tensors'
(quant_args.py, quant_scheme.py, and the config.json files that llm-compressor writes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from stillhouse.checkpoints import Checkpoint
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig, RopeConfig
from stillhouse.models.rope import angles_per_position
from stillhouse.models.tensors import ROPE_FACTORS
from stillhouse.quantize.folder_schemes import FolderScheme
from stillhouse.text import Tokenizer
from stillhouse.text.tokenizer_files import tokenizer_files

_CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
_FORMATS_VERSION = "0.17.0"  # of compressed-tensors, whose keys these are


def folder_files(
    checkpoint: Checkpoint, config: ModelConfig, scheme: FolderScheme
) -> dict[str, str]:
    """Texts by file name. Raises BadCheckpoint for what no folder can say."""
    metadata = checkpoint.metadata
    files = tokenizer_files(metadata)
    if "tokenizer_config.json" not in files and "tokenizer.huggingface.config" in metadata:
        files["tokenizer_config.json"] = str(metadata["tokenizer.huggingface.config"])
    tokenizer = Tokenizer.from_metadata(metadata)
    ends = sorted(tokenizer.stop_ids)
    document = config_document(checkpoint, config, scheme, ends)
    generation: dict[str, Any] = {"eos_token_id": ends}
    if tokenizer.bos_id is not None:
        document["bos_token_id"] = generation["bos_token_id"] = tokenizer.bos_id
    files["generation_config.json"] = _json(generation)
    files["config.json"] = _json(document)
    return files


def config_document(
    checkpoint: Checkpoint, config: ModelConfig, scheme: FolderScheme, end_ids: list[int]
) -> dict[str, Any]:
    """config.json."""
    name = config.architecture.name
    document: dict[str, Any] = {
        "architectures": [_CLASSES[name]],
        "model_type": name,
        "torch_dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": _short(config.rms_eps),
        "tie_word_embeddings": config.tied_embeddings,
        "vocab_size": config.vocab_size,
        "eos_token_id": end_ids,
        "attention_bias": False,  # Qwen2's biases are no setting
        **_rope(checkpoint, config),
    }
    if name != "llama":
        document["use_sliding_window"] = False
    if scheme.is_quantized:
        document["quantization_config"] = quantization_config(scheme)
    return document


def quantization_config(scheme: FolderScheme) -> dict[str, Any]:
    """compressed-tensors' description of a scheme: all Linear modules but the head."""
    kind = "float" if scheme.is_float else "int"
    form = "float-quantized" if scheme.is_float else "int-quantized"
    form = "pack-quantized" if scheme.is_packed else form
    number = {"num_bits": scheme.bits, "type": kind, "symmetric": True}
    weights: dict[str, Any] = number | {"strategy": "channel", "group_size": None, "dynamic": False}
    if scheme.group_columns:
        weights |= {"strategy": "group", "group_size": scheme.group_columns}
    activations = None
    if scheme.activations != "as they are":
        activations = number | {"strategy": "token", "group_size": None, "dynamic": True}
    return {
        "quant_method": "compressed-tensors",
        "version": _FORMATS_VERSION,
        "format": form,
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": activations,
                "output_activations": None,
                "format": form,
            }
        },
    }


def _rope(checkpoint: Checkpoint, config: ModelConfig) -> dict[str, Any]:
    """Base, context and scaling, in the words that transformers 4 and 5 and vLLM read."""
    rope = config.rope
    if ROPE_FACTORS in checkpoint.tensors:
        rope = _llama3(rope, checkpoint.tensors[ROPE_FACTORS].decode())
    context, scaling = config.context_length, None
    if rope.scaling == "linear":
        context = round(context / rope.factor)
        scaling = {"rope_type": "linear", "factor": rope.factor}
    elif rope.scaling == "llama3":
        scaling = {
            "rope_type": "llama3",
            "factor": rope.factor,
            "low_freq_factor": rope.low_turns,
            "high_freq_factor": rope.high_turns,
            "original_max_position_embeddings": rope.original_context,
        }
    elif rope.scaling == "yarn":
        usual = 1 + 0.1 * math.log(rope.factor)
        scaling = {
            "rope_type": "yarn",
            "factor": rope.factor,
            "beta_fast": rope.beta_fast,
            "beta_slow": rope.beta_slow,
            "attention_factor": rope.attention_factor * usual,
            "original_max_position_embeddings": rope.original_context,
        }
    return {
        "max_position_embeddings": context,
        "rope_theta": _short(rope.base),
        "rope_scaling": scaling,
    }


def _llama3(rope: RopeConfig, factors: np.ndarray[Any, np.dtype[np.float32]]) -> RopeConfig:
    """The settings of Llama 3's rule that give the divisors in a GGUF file.

    Raises BadCheckpoint where its published ones (low 1, high 4, 8,192 tokens) do not.
    """
    factor = float(factors.max())
    plain = angles_per_position(rope)
    found = RopeConfig("half", rope.dim, rope.base, "llama3", factor, original_context=8192)
    divisors = plain / angles_per_position(found) if factor > 1 else np.ones_like(plain)
    if not np.allclose(divisors, factors, rtol=1e-3):
        raise BadCheckpoint(
            f"{ROPE_FACTORS} is not what Llama 3's rule gives for 8,192 tokens and a factor of"
            f" {factor:g}, and a folder can say no other"
        )
    return found if factor > 1 else rope


def _short(number: float) -> float:
    """The shortest decimal of a float32, as GGUF files hold these."""
    return float(str(np.float32(number)))


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
