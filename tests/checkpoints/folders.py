"""Model folders put together part by part, so that any part can be wrong or unusual."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES = {"f4": "F32", "f2": "F16", "i1": "I8", "i4": "I32", "i8": "I64", "u1": "F8_E4M3"}

Tensors = Mapping[str, npt.NDArray[Any]]


def safetensors_file(tensors: Tensors, *, bf16: tuple[str, ...] = ()) -> bytes:
    """A safetensors file; uint8 arrays become F8_E4M3, uint16 ones named in ``bf16`` BF16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        dtype = "BF16" if name in bf16 else _DTYPES[array.dtype.str[1:]]
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += np.ascontiguousarray(array).tobytes()
    return with_header(header, data)


def with_header(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file of this header, which is written as JSON unless it is text already."""
    text = header if isinstance(header, str) else json.dumps(header)
    raw = text.encode()
    return pack("<Q", len(raw)) + raw + data


CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 320,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "eos_token_id": 270,
}


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors that a folder of this config holds, by its own names."""
    hidden, ffn, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    query, key = dim * config["num_attention_heads"], dim * config["num_key_value_heads"]
    vocab = config["vocab_size"]
    result: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        result |= {
            prefix + "self_attn.q_proj.weight": (query, hidden),
            prefix + "self_attn.k_proj.weight": (key, hidden),
            prefix + "self_attn.v_proj.weight": (key, hidden),
            prefix + "self_attn.o_proj.weight": (hidden, query),
            prefix + "mlp.gate_proj.weight": (ffn, hidden),
            prefix + "mlp.up_proj.weight": (ffn, hidden),
            prefix + "mlp.down_proj.weight": (hidden, ffn),
            prefix + "input_layernorm.weight": (hidden,),
            prefix + "post_attention_layernorm.weight": (hidden,),
        }
        if config["architectures"] == ["Qwen2ForCausalLM"]:
            for part, size in (("q", query), ("k", key), ("v", key)):
                result[f"{prefix}self_attn.{part}_proj.bias"] = (size,)
        if config["architectures"] == ["Qwen3ForCausalLM"]:
            result[prefix + "self_attn.q_norm.weight"] = (dim,)
            result[prefix + "self_attn.k_norm.weight"] = (dim,)
    result["model.norm.weight"] = (hidden,)
    result["lm_head.weight"] = (vocab, hidden)
    return result


def random_tensors(config: Mapping[str, Any], seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """All tensors as float32, about as large as a trained model's."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(1, 0.1, shape) if "norm" in name else rng.normal(0, 0.05, shape)).astype(
            np.float32
        )
        for name, shape in shapes(config).items()
    }


def write_folder(
    folder: Path,
    *,
    config: Mapping[str, Any] = CONFIG,
    tensors: Tensors | None = None,
    bf16: tuple[str, ...] = (),
    **files: Any,
) -> Path:
    """Write a model folder; ``files`` are further JSON files by their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = random_tensors(config) if tensors is None else tensors
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors_file(tensors, bf16=bf16))
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content))
    return folder
