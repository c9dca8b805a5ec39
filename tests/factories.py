"""Tiny random GGUF checkpoints for tests: seeded, sane in size, written by the gguf package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import numpy.typing as npt

from stillhouse.encodings import Encoding, by_name

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
MERGES = ("t h", "th e", "i n", "Ġ the", "e r", "o n", "a n", "Ġ a", "Ġ t", "r e", "h e", "in g")

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # gguf.TokenType


class Packed(NamedTuple):
    """A tensor in a format of blocks: ``raw`` is uint8 (rows, row_bytes)."""

    encoding: str
    raw: npt.NDArray[np.uint8]


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[Any] | Packed],
    *,
    max_tensors_per_part: int = 0,
) -> Path:
    """Write a checkpoint and return its (first) file.

    Metadata ints become u32 (i32 or u64 where they must), floats f32. With ``max_tensors_per_part``
    it is split into ``stem-00001-of-0000N.gguf`` and so on.
    """
    architecture = metadata.get("general.architecture", "llama")
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=max_tensors_per_part)
    for key, value in metadata.items():
        if key != "general.architecture":
            writer.add_key_value(key, value, _value_type(value))
        if key == "general.alignment":
            writer.data_alignment = value
    for name, tensor in tensors.items():
        if isinstance(tensor, Packed):
            encoding = by_name(tensor.encoding)
            rows, row_bytes = tensor.raw.shape
            shape = rows, row_bytes // encoding.block_bytes * encoding.block_size
            # int8, because the writer knows no shape but its own for uint8
            raw = np.ascontiguousarray(tensor.raw).view(np.int8)
            writer.add_tensor(name, raw, raw_shape=shape, raw_dtype=encoding.ggml_type)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return writer.format_shard_names(path)[0]


def tiny_model(
    path: Path,
    *,
    architecture: str = "qwen2",
    encoding: str = "Q8_0",
    seed: int = 0,
    layers: int = 2,
    hidden: int = 256,
    ffn: int = 512,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int | None = None,
    vocab: int = 320,
    tied: bool = False,
    context: int = 512,
    chat_template: str = CHATML,
    overrides: Mapping[str, str] | None = None,
    extra_metadata: Mapping[str, Any] | None = None,
    extra_tensors: Mapping[str, npt.NDArray[Any] | Packed] | None = None,
) -> Path:
    """Write a whole random model ("qwen2", "llama" or "qwen3") with a byte-level BPE tokenizer.

    Args:
        encoding: the format of every matrix, the embedding's included.
        head_dim: hidden // heads unless given.
        tied: leave out output.weight.
        overrides: formats by tensor name's end, as {"attn_v.weight": "Q6_K"}.
        extra_metadata, extra_tensors: put in last, so they also replace.
    """
    rng = np.random.default_rng(seed)
    head_dim = head_dim or hidden // heads
    overrides = overrides or {}

    def matrix(name: str, rows: int, columns: int) -> Packed | npt.NDArray[np.float32]:
        chosen = next((e for end, e in overrides.items() if name.endswith(end)), encoding)
        values = rng.normal(0, 0.02, (rows, columns)).astype(np.float32)
        return pack(values, chosen, rng)

    def norm(size: int) -> npt.NDArray[np.float32]:
        return rng.normal(1, 0.1, size).astype(np.float32)

    tensors: dict[str, Any] = {"token_embd.weight": matrix("token_embd.weight", vocab, hidden)}
    for layer in range(layers):
        shapes = {
            "attn_q": (heads * head_dim, hidden),
            "attn_k": (kv_heads * head_dim, hidden),
            "attn_v": (kv_heads * head_dim, hidden),
            "attn_output": (hidden, heads * head_dim),
            "ffn_gate": (ffn, hidden),
            "ffn_up": (ffn, hidden),
            "ffn_down": (hidden, ffn),
        }
        prefix = f"blk.{layer}."
        for name, (rows, columns) in shapes.items():
            tensors[f"{prefix}{name}.weight"] = matrix(f"{prefix}{name}.weight", rows, columns)
        tensors[f"{prefix}attn_norm.weight"] = norm(hidden)
        tensors[f"{prefix}ffn_norm.weight"] = norm(hidden)
        if architecture == "qwen2":
            for name in ("attn_q", "attn_k", "attn_v"):
                bias = rng.normal(0, 0.1, shapes[name][0]).astype(np.float32)
                tensors[f"{prefix}{name}.bias"] = bias
        if architecture == "qwen3":
            tensors[f"{prefix}attn_q_norm.weight"] = norm(head_dim)
            tensors[f"{prefix}attn_k_norm.weight"] = norm(head_dim)
    tensors["output_norm.weight"] = norm(hidden)
    if not tied:
        tensors["output.weight"] = matrix("output.weight", vocab, hidden)

    metadata = {
        "general.architecture": architecture,
        "general.name": f"Tiny {architecture}",
        f"{architecture}.block_count": layers,
        f"{architecture}.context_length": context,
        f"{architecture}.embedding_length": hidden,
        f"{architecture}.feed_forward_length": ffn,
        f"{architecture}.attention.head_count": heads,
        f"{architecture}.attention.head_count_kv": kv_heads,
        f"{architecture}.attention.key_length": head_dim,
        f"{architecture}.attention.value_length": head_dim,
        f"{architecture}.rope.dimension_count": head_dim,
        f"{architecture}.rope.freq_base": 10000.0,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{architecture}.vocab_size": vocab,
        **tokenizer_metadata(vocab, pre="llama-bpe" if architecture == "llama" else "qwen2"),
        "tokenizer.chat_template": chat_template,
        **(extra_metadata or {}),
    }
    return write_gguf(path, metadata, tensors | dict(extra_tensors or {}))


def tokenizer_metadata(vocab: int, *, pre: str = "qwen2") -> dict[str, Any]:
    """A byte-level BPE of 256 bytes, a few merges and special tokens, filled up to ``vocab``."""
    merged = [merge.replace(" ", "") for merge in MERGES]
    ordinary = byte_alphabet() + merged
    used = ordinary + list(SPECIAL_TOKENS)
    padding = [f"[PAD{i}]" for i in range(vocab - len(used))]
    control = [_USER_DEFINED if "think" in token else _CONTROL for token in SPECIAL_TOKENS]
    kinds = [_NORMAL] * len(ordinary) + control + [_UNUSED] * len(padding)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": (used + padding)[:vocab],
        "tokenizer.ggml.token_type": kinds[:vocab],
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": used.index("<|endoftext|>"),
        "tokenizer.ggml.eos_token_id": used.index("<|im_end|>"),
        "tokenizer.ggml.padding_token_id": used.index("<|endoftext|>"),
        "tokenizer.ggml.add_bos_token": False,
    }


def byte_alphabet() -> list[str]:
    """GPT-2's visible character of each byte: itself where printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(hidden)) for byte in range(256)]


def pack(
    values: npt.NDArray[np.float32], encoding: str, rng: np.random.Generator
) -> Packed | npt.NDArray[np.float32]:
    """Quantise (rows, columns) with the gguf package; where it cannot, random blocks as large."""
    if encoding == "F32":
        return values
    try:
        quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType[encoding])
        return Packed(encoding, quantised.view(np.uint8))
    except (NotImplementedError, KeyError):
        form = by_name(encoding)
        blocks = random_blocks(form, values.size // form.block_size, float(values.std()), rng)
        return Packed(encoding, blocks.reshape(len(values), -1))


# Where the fp16 scale of each format lies, at the start unless here.
_SCALE_AT = {"Q2_K": 80, "Q3_K": 108, "Q6_K": 208, "TQ1_0": 52, "TQ2_0": 64}
# Where its fp16 minimum lies, and how many scales it must be to centre random codes on 0.
_MINIMUM = {
    "Q4_1": (2, -7.5),
    "Q5_1": (2, -15.5),
    "Q2_K": (82, 1.5),
    "Q4_K": (2, 7.5),
    "Q5_K": (2, 15.5),
}


def random_blocks(
    encoding: Encoding, count: int, std: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Random codes whose values are about N(0, ``std``) in size: (count, block_bytes) uint8."""
    blocks = rng.integers(0, 256, (count, encoding.block_bytes), dtype=np.uint8)
    sizes = rng.uniform(0.5, 1.5, count)
    unit = float(encoding.decode(_with_scales(encoding, blocks[:64], np.ones(64)[:count])).std())
    return _with_scales(encoding, blocks, std / unit * sizes)


def _with_scales(
    encoding: Encoding, blocks: npt.NDArray[np.uint8], scales: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    blocks, name = blocks.copy(), encoding.name
    if name == "Q8_K":
        _put(blocks, 0, scales.astype("<f4"))
    elif name == "IQ1_M":  # four bits of the scale on top of each of the four last words
        bits = scales.astype("<f2").view("<u2")[:, np.newaxis]
        words = blocks[:, 48:].view("<u2")
        words &= 0x0FFF
        words |= (bits >> np.array([0, 4, 8, 12], "<u2") & 0xF) << 12
    elif name == "MXFP4":  # an exponent: 128 means 1 for the doubled codes
        blocks[:, 0] = np.round(128 + np.log2(scales))
    elif name == "NVFP4":  # four unsigned E4M3 scales, halved for the doubled codes
        exponent, mantissa = np.divmod(np.arange(127), 8)
        levels = np.where(
            exponent == 0, mantissa / 1024, (1 + mantissa / 8) * 2.0 ** (exponent - 8)
        )
        blocks[:, :4] = abs(levels - scales[:, np.newaxis]).argmin(axis=1)[:, np.newaxis]
    else:
        if name == "Q2_0":  # ternary, as its models are: a code of 3 would shift the mean
            blocks[:, 2:] &= ~(blocks[:, 2:] << 1 & 0xAA)
        _put(blocks, _SCALE_AT.get(name, 0), scales.astype("<f2"))
        if name in _MINIMUM:
            offset, ratio = _MINIMUM[name]
            _put(blocks, offset, (scales * ratio).astype("<f2"))
    return blocks


def _put(blocks: npt.NDArray[np.uint8], offset: int, values: npt.NDArray[Any]) -> None:
    raw = values[:, np.newaxis].view(np.uint8)
    blocks[:, offset : offset + raw.shape[1]] = raw


def _value_type(value: Any) -> gguf.GGUFValueType:
    kinds = gguf.GGUFValueType
    match value:
        case bool():
            return kinds.BOOL
        case int():
            return kinds.INT32 if value < 0 else kinds.UINT32 if value < 1 << 32 else kinds.UINT64
        case float():
            return kinds.FLOAT32
        case str():
            return kinds.STRING
        case Sequence():
            return kinds.ARRAY
    raise AssertionError(f"no metadata type for {value!r}")
