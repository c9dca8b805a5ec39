"""The checkpoints that vLLM reads, made from a GGUF: the same numbers, in BF16 or as INT8 W8A8.

    python benchmarks/hf_checkpoint.py MODEL.gguf FOLDER --scheme w8a8

W8A8 is compressed-tensors' `int-quantized`: every matrix but the head and the embeddings as int8
rounded to nearest, with a scale for each output channel of absmax / 127.5, and activations that the
engine quantises per token. Speed does not depend on how well it was rounded. The file's tokenizer
and template are written beside it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse.checkpoints import Checkpoint, Tensor, open_gguf
from stillhouse.models.config import ModelConfig
from stillhouse.text.tokenizer_files import tokenizer_files

Scheme = Literal["bf16", "w8a8"]

_OF_MODEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make_checkpoint(gguf: Path, folder: Path, scheme: Scheme) -> None:
    """Writes `model.safetensors` and `config.json`, or nothing if a whole one is there already."""
    if (folder / "config.json").exists():  # written last
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open_gguf(gguf) as checkpoint:
        config = ModelConfig.from_metadata(checkpoint.metadata)
        if config.architecture.name != "qwen2":
            raise SystemExit(
                f"{gguf.name}: only qwen2 is converted, not {config.architecture.name}"
            )
        _write_safetensors(folder / "model.safetensors", checkpoint, scheme)
        document = _config(checkpoint, config, scheme)
        for name, text in tokenizer_files(checkpoint.metadata).items():
            (folder / name).write_text(text, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(document, indent=2) + "\n")


class _Entry(NamedTuple):
    """A tensor of the file to write; `part` is what `_encode` calls it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Tensor
    part: Literal["bf16", "codes", "scale"]

    @property
    def num_bytes(self) -> int:
        return int(np.prod(self.shape)) * (1 if self.dtype == "I8" else 2)


def _write_safetensors(path: Path, checkpoint: Checkpoint, scheme: Scheme) -> None:
    """The header needs every size first; then one tensor at a time is decoded and written."""
    entries = list(_entries(checkpoint, scheme))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        start, end = end, end + entry.num_bytes
        header[entry.name] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": (start, end),
        }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for entry in entries:
            file.write(_encode(entry).tobytes())


def _entries(checkpoint: Checkpoint, scheme: Scheme) -> Iterator[_Entry]:
    for name, tensor in checkpoint.tensors.items():
        hf_name, shape = _hf_name(name), tensor.shape
        if scheme == "w8a8" and len(shape) == 2 and name not in _OF_MODEL:
            yield _Entry(hf_name, "I8", shape, tensor, "codes")
            yield _Entry(f"{hf_name}_scale", "BF16", (shape[0], 1), tensor, "scale")
        else:
            yield _Entry(hf_name, "BF16", shape, tensor, "bf16")
    if "output.weight" not in checkpoint.tensors:
        table = checkpoint.tensors["token_embd.weight"]
        yield _Entry("lm_head.weight", "BF16", table.shape, table, "bf16")


def _hf_name(name: str) -> str:
    """`blk.3.attn_q.bias` is `model.layers.3.self_attn.q_proj.bias`."""
    if name in _OF_MODEL:
        return _OF_MODEL[name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    assert match is not None, name
    return f"model.layers.{match[1]}.{_OF_LAYER[match[2]]}.{match[3]}"


def _encode(entry: _Entry) -> NDArray[Any]:
    values = entry.source.decode()
    if entry.part == "bf16":
        return _to_bf16(values)
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127.5, np.float32(1e-8))
    scale_bf16 = _to_bf16(scale)
    if entry.part == "scale":
        return scale_bf16
    rounded_scale = (scale_bf16.astype(np.uint32) << 16).view(np.float32)
    codes: NDArray[np.int8] = np.clip(np.rint(values / rounded_scale), -128, 127).astype(np.int8)
    return codes


def _to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The nearest bf16, ties to even, as its 16 bits; values are finite."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _config(checkpoint: Checkpoint, config: ModelConfig, scheme: Scheme) -> dict[str, Any]:
    document: dict[str, Any] = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "torch_dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.rms_eps,
        "rope_theta": config.rope.base,
        # Files of the smaller models quantise the table and the head each in its own way.
        "tie_word_embeddings": False,
        "vocab_size": config.vocab_size,
        "eos_token_id": checkpoint.metadata["tokenizer.ggml.eos_token_id"],
        "use_sliding_window": False,
    }
    if scheme == "w8a8":
        document["quantization_config"] = {
            "quant_method": "compressed-tensors",
            "format": "int-quantized",
            "quantization_status": "compressed",
            "ignore": ["lm_head"],
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": _INT8 | {"strategy": "channel", "dynamic": False},
                    "input_activations": _INT8 | {"strategy": "token", "dynamic": True},
                }
            },
        }
    return document


_INT8 = {"num_bits": 8, "type": "int", "symmetric": True}


def main() -> None:
    """Make one checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scheme", choices=("bf16", "w8a8"), required=True)
    arguments = parser.parse_args()
    make_checkpoint(arguments.gguf, arguments.folder, arguments.scheme)


if __name__ == "__main__":
    main()
