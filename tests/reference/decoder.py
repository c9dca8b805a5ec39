"""A whole decoder, written to be read: one sequence, no cache, no batch, float64 throughout.

The weights are what the checkpoint's blocks decode to, in the order of the file; so a llama's
queries and keys are turned as neighbours, a Qwen's as halves. With ``rounded`` it also rounds what
the kernels round: activations to int8 before every quantised matrix, and cached keys and values to
bf16. Nothing then differs but the order and precision of sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import Checkpoint, CompressedTensor, Tensor
from stillhouse.models.config import ModelConfig
from tests.reference.attention import attend, rms_norm, rotate, silu
from tests.reference.linear import as_quantized, linear, quantize_rows, round_to_bf16

Doubles = npt.NDArray[np.float64]

# Columns that share a scale; otherwise 32.
_SPANS = dict.fromkeys(("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS", "IQ2_XXS"), 256)


def logits(checkpoint: Checkpoint, token_ids: Sequence[int], *, rounded: bool) -> Doubles:
    """Logits at every position: (len(token_ids), vocab)."""
    return _Twin(checkpoint, rounded).logits(token_ids)


def log_probabilities(logits: npt.NDArray[np.floating]) -> Doubles:  # type: ignore[type-arg]
    """Over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


class _Twin:
    def __init__(self, checkpoint: Checkpoint, rounded: bool) -> None:
        self.tensors, self.rounded = checkpoint.tensors, rounded
        self.is_tied = "output.weight" not in self.tensors
        self.config = ModelConfig.from_metadata(checkpoint.metadata, tied_embeddings=self.is_tied)

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        return self.tensors[name].decode()

    def multiply(self, x: Doubles, name: str) -> Doubles:
        if self.rounded:
            x = self.as_read(x, self.tensors[f"{name}.weight"])
        y = linear(x, self.tensor(f"{name}.weight"))
        return y + self.tensor(f"{name}.bias") if f"{name}.bias" in self.tensors else y

    def as_read(self, x: Doubles, weights: Tensor) -> Doubles:
        """Activations as the kernel for these weights rounds them."""
        if isinstance(weights, CompressedTensor):
            if weights.scheme.is_float or weights.group_of_column is not None:
                return x
            if weights.scheme.int8_activations:
                codes, scales = quantize_rows(x.astype(np.float32))
                return np.asarray(codes * scales[:, np.newaxis].astype(np.float64))
            return as_quantized(x, 32)
        encoding = weights.encoding
        return as_quantized(x, _SPANS.get(encoding.name, 32)) if encoding.block_size > 1 else x

    def norm(self, x: Doubles, name: str) -> Doubles:
        return rms_norm(x, self.tensor(f"{name}.weight"), self.config.rms_eps)

    def logits(self, token_ids: Sequence[int]) -> Doubles:
        x = self.tensor("token_embd.weight")[list(token_ids)].astype(np.float64)
        for layer in range(self.config.num_layers):
            prefix = f"blk.{layer}."
            normed = self.norm(x, prefix + "attn_norm")
            x = x + self.multiply(self.attention(normed, prefix), prefix + "attn_output")
            normed = self.norm(x, prefix + "ffn_norm")
            gate = silu(self.multiply(normed, prefix + "ffn_gate"))
            up = self.multiply(normed, prefix + "ffn_up")
            x = x + self.multiply(gate * up, prefix + "ffn_down")
        return self.multiply(
            self.norm(x, "output_norm"), "token_embd" if self.is_tied else "output"
        )

    def attention(self, x: Doubles, prefix: str) -> Doubles:
        """Every head over all earlier positions and its own: (T, heads * head_dim)."""
        config, tokens = self.config, len(x)
        queries = self.heads(x, prefix + "attn_q")
        keys = self.heads(x, prefix + "attn_k")
        values = self.multiply(x, prefix + "attn_v").reshape(tokens, -1, config.head_dim)
        if self.rounded:
            keys, values = (round_to_bf16(part).astype(np.float64) for part in (keys, values))
        out = np.empty_like(queries)
        for position in range(tokens):
            for head in range(config.num_heads):
                shared = head * config.num_kv_heads // config.num_heads
                out[position, head] = attend(
                    queries[position, head],
                    keys[: position + 1, shared],
                    values[: position + 1, shared],
                    scale=config.head_dim**-0.5,
                )
        return out.reshape(tokens, -1)

    def heads(self, x: Doubles, name: str) -> Doubles:
        """Queries or keys: multiplied, normed where the model has a norm, and turned."""
        config, factors = self.config, None
        heads = self.multiply(x, name).reshape(len(x), -1, config.head_dim)
        if f"{name}_norm.weight" in self.tensors:
            heads = self.norm(heads, f"{name}_norm")
        if "rope_freqs.weight" in self.tensors:
            factors = self.tensor("rope_freqs.weight")
        return np.array(
            [
                [rotate(head, position, config.rope, factors) for head in row]
                for position, row in enumerate(heads)
            ]
        )
