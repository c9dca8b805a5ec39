"""Every tensor of a GGUF file, from the model's shape alone.

The names are those of gguf-py's constants, the shapes in numpy's order (rows, columns). What packs
weights and what plans for files that are not there yet read the same tables here.
"""

from __future__ import annotations

from math import prod

from stillhouse.catalog.shapes import Experts, LatentAttention, Shape

ROPE_FACTORS = "rope_freqs.weight"  # Llama 3's, no weights of the model: computed at conversion
Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(shape: Shape, *, fused_kv_b: bool = False) -> Shapes:
    """All tensors by GGUF name.

    Files of deepseek2 that llama.cpp converted before April 2025 hold the latent's way up to keys
    and values as one matrix, `attn_kv_b` (`fused_kv_b`); since its pull request 12801 there are
    two, `attn_k_b`, transposed, and `attn_v_b`, with as many weights.
    """
    shapes: Shapes = {"token_embd.weight": (shape.vocab_size, shape.hidden_size)}
    shapes |= matrices(shape, fused_kv_b=fused_kv_b) | vectors(shape)
    if shape.has_rope_factors:
        shapes[ROPE_FACTORS] = (shape.head_dim // 2,)
    return shapes


def parameters(shape: Shape) -> int:
    """All numbers that training chose."""
    shapes = tensor_shapes(shape)
    return sum(prod(sizes) for name, sizes in shapes.items() if name != ROPE_FACTORS)


def active_parameters(shape: Shape) -> int:
    """Those that compute one token: the experts chosen for it, and of the embedding one row."""
    total = parameters(shape)
    if not shape.tied_embeddings:
        total -= (shape.vocab_size - 1) * shape.hidden_size
    if shape.experts is not None:
        idle = shape.experts.count - shape.experts.used
        layers = shape.num_layers - shape.experts.dense_layers
        total -= layers * idle * 3 * shape.hidden_size * shape.experts.ffn_size
    return total


def matrices(shape: Shape, *, fused_kv_b: bool = False) -> Shapes:
    """The linear layers, experts (experts, rows, columns) among them. The head comes last."""
    shapes: Shapes = {}
    for layer in range(shape.num_layers):
        parts = _attention(shape, fused_kv_b) | _feed_forward(shape, layer)
        shapes |= {f"blk.{layer}.{part}.weight": sizes for part, sizes in parts.items()}
    shapes[head_name(shape)] = (shape.vocab_size, shape.hidden_size)
    return shapes


def vectors(shape: Shape) -> Shapes:
    """Norms and biases."""
    shapes: Shapes = {}
    for layer in range(shape.num_layers):
        parts = _layer_vectors(shape, layer)
        shapes |= {f"blk.{layer}.{part}": (size,) for part, size in parts.items()}
    shapes["output_norm.weight"] = (shape.hidden_size,)
    return shapes


def head_name(shape: Shape) -> str:
    """The matrix that makes logits: the embedding table where the two are tied."""
    return "token_embd.weight" if shape.tied_embeddings else "output.weight"


def is_expert_layer(shape: Shape, layer: int) -> bool:
    """Whether the layer's feed-forward network is a mixture of experts."""
    return shape.experts is not None and layer >= shape.experts.dense_layers


def _attention(shape: Shape, fused_kv_b: bool) -> Shapes:
    if shape.latent is not None:
        return _latent_attention(shape, shape.latent, fused_kv_b)
    query, key = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    hidden = shape.hidden_size
    return {
        "attn_q": (query, hidden),
        "attn_k": (key, hidden),
        "attn_v": (key, hidden),
        "attn_output": (hidden, query),
    }


def _latent_attention(shape: Shape, latent: LatentAttention, fused_kv_b: bool) -> Shapes:
    heads, hidden = shape.num_heads, shape.hidden_size
    down: Shapes = {
        "attn_q_a": (latent.query_rank, hidden),
        "attn_q_b": (heads * (latent.plain_dim + latent.rope_dim), latent.query_rank),
        "attn_kv_a_mqa": (latent.kv_rank + latent.rope_dim, hidden),
    }
    up: Shapes = {
        "attn_k_b": (heads, latent.kv_rank, latent.plain_dim),
        "attn_v_b": (heads, latent.value_dim, latent.kv_rank),
    }
    if fused_kv_b:
        up = {"attn_kv_b": (heads * (latent.plain_dim + latent.value_dim), latent.kv_rank)}
    return down | up | {"attn_output": (hidden, heads * latent.value_dim)}


def _feed_forward(shape: Shape, layer: int) -> Shapes:
    hidden = shape.hidden_size
    if shape.experts is not None and is_expert_layer(shape, layer):
        return _expert_matrices(shape.experts, hidden)
    ffn = shape.ffn_size
    return {"ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden), "ffn_down": (hidden, ffn)}


def _expert_matrices(experts: Experts, hidden: int) -> Shapes:
    count, ffn = experts.count, experts.ffn_size
    shapes: Shapes = {
        "ffn_gate_inp": (count, hidden),
        "ffn_gate_exps": (count, ffn, hidden),
        "ffn_up_exps": (count, ffn, hidden),
        "ffn_down_exps": (count, hidden, ffn),
    }
    if experts.shared:
        shared = experts.shared * ffn
        shapes["ffn_gate_shexp"] = shapes["ffn_up_shexp"] = (shared, hidden)
        shapes["ffn_down_shexp"] = (hidden, shared)
    return shapes


def _layer_vectors(shape: Shape, layer: int) -> dict[str, int]:
    parts = {"attn_norm.weight": shape.hidden_size, "ffn_norm.weight": shape.hidden_size}
    if shape.has_qkv_bias:
        key = shape.num_kv_heads * shape.head_dim
        parts |= {"attn_q.bias": shape.num_heads * shape.head_dim}
        parts |= {"attn_k.bias": key, "attn_v.bias": key}
    if shape.has_qk_norm:
        parts |= {"attn_q_norm.weight": shape.head_dim, "attn_k_norm.weight": shape.head_dim}
    if shape.latent is not None:
        parts["attn_q_a_norm.weight"] = shape.latent.query_rank
        parts["attn_kv_a_norm.weight"] = shape.latent.kv_rank
    if shape.experts is not None and is_expert_layer(shape, layer):
        parts["exp_probs_b.bias"] = shape.experts.count
    return parts
