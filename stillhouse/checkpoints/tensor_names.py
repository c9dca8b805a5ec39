"""The names of tensors and modules in model folders, and in GGUF files: one vocabulary inside."""

from __future__ import annotations

import re
from typing import NamedTuple

_LAYER = re.compile(r"model\.layers\.(\d{1,4})\.(.+)")
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER_IN_GGUF = re.compile(r"blk\.(\d{1,4})\.(\w+)")
_OF_GGUF = {ours: theirs for theirs, ours in (_OUTSIDE | _IN_LAYER).items()}
# What files hold besides and nothing here needs: rope's angles are computed, and the scales of an
# 8-bit KV cache belong to a cache of another kind than ours.
_UNUSED = re.compile(
    r"model\.layers\.\d+\.self_attn\.(rotary_emb\.inv_freq|[kvq]_(scale|zero_point))"
)


class TensorName(NamedTuple):
    """A tensor's name in a model folder, taken apart: "model.layers.0.mlp.up_proj" and "weight"."""

    module: str
    parameter: str
    gguf_module: str

    @property
    def is_linear(self) -> bool:
        """Whether the module is of the class that folders call Linear."""
        return self.module == "lm_head" or self.module.endswith("_proj")


def parse_tensor_name(name: str) -> TensorName | None:
    """Take a folder's name of a tensor apart; None if no architecture that is read has it."""
    module, _, parameter = name.rpartition(".")
    if module in _OUTSIDE:
        return TensorName(module, parameter, _OUTSIDE[module])
    match = _LAYER.fullmatch(module)
    if match is None or match[2] not in _IN_LAYER:
        return None
    return TensorName(module, parameter, f"blk.{int(match[1])}.{_IN_LAYER[match[2]]}")


def is_unused(name: str) -> bool:
    """Whether the tensor may be left out without a change to what the model computes here."""
    return _UNUSED.fullmatch(name) is not None


def folder_tensor_name(gguf_name: str) -> TensorName | None:
    """The name that a folder gives to a tensor of GGUF's name; None if no folder holds it.

    "blk.3.attn_q.bias" is "model.layers.3.self_attn.q_proj" and "bias".
    """
    gguf_module, _, parameter = gguf_name.rpartition(".")
    match = _LAYER_IN_GGUF.fullmatch(gguf_module)
    part, prefix = (match[2], f"model.layers.{int(match[1])}.") if match else (gguf_module, "")
    module = _OF_GGUF.get(part)
    if module is None or (match is None) != (module in _OUTSIDE):
        return None
    return TensorName(prefix + module, parameter, gguf_module)
