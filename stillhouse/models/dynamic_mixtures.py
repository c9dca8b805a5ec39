"""Unsloth's dynamic quantisations of R1 671B (January 2025), as far as they are known.

Their blog (https://unsloth.ai/blog/deepseekr1-dynamic) names what the experts get ("MoE bits" and,
apart, "down_proj"), and 4 to 6 bits for attention, the first three layers, which are dense, and the
shared experts. How many tensors have which format is what llama.cpp prints of two of the files:

    UD-IQ1_S    361 F32, 190 Q4_K, 116 Q5_K, 184 Q6_K, 6 IQ2_XXS, 168 IQ1_S; 130.60 GiB
                (https://github.com/gpustack/gpustack/issues/1107)
    UD-Q2_K_XL  361 F32, 306 Q4_K, 184 Q6_K, 3 Q3_K, 171 Q2_K
                (https://github.com/ikawrakow/ik_llama.cpp/pull/259)

Which tensors those are is inferred: one reading explains both lines and gives the published sizes
to 0.02 %. Of the other two only sizes are published. UD-IQ2_XXS follows the pattern of UD-Q2_K_XL,
to 0.02 %. In UD-IQ1_M the blog's 2.06 bits for down_proj alone make 151 GiB, not 158; that gates
have them too is a guess that closes the gap.
"""

from __future__ import annotations

from stillhouse.models.mixture import Condition, Mixture, Place, Rule

# Repositories whose "UD-" files nobody can size from names: later ones choose by layer and model.
UNPUBLISHED = dict.fromkeys(
    ("unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF", "unsloth/DeepSeek-R1-0528-GGUF"),
    "Unsloth's Dynamic 2.0 chooses formats for each layer of each model, and publishes no list"
    " (https://unsloth.ai/blog/dynamic-v2)",
)

_BLOG = "https://unsloth.ai/blog/deepseekr1-dynamic; tensors inferred from counts by format"


def _first_expert_layers(number: int) -> Condition:
    def is_among_them(place: Place) -> bool:
        experts = place.shape.experts
        return experts is not None and place.layer < experts.dense_layers + number

    return is_among_them


def _dynamic(name: str, base: str, *experts: Rule, shared: str) -> Mixture:
    """`experts` are rules for some of the experts; `shared` is what shared gates and ups get."""
    rules = (
        *experts,
        Rule("ffn_gate_exps", base),
        Rule("ffn_up_exps", base),
        Rule("ffn_down_exps", base),
        Rule("ffn_down_shexp", "Q6_K"),
        Rule("ffn_gate_shexp", shared),
        Rule("ffn_up_shexp", shared),
        Rule("ffn_down", "Q6_K"),
        Rule("attn_kv_a_mqa", "Q6_K"),
        Rule("attn_kv_b", "Q6_K"),
        Rule("", "Q4_K"),
    )
    return Mixture(name, base, rules, "Q6_K", "Q4_K", _BLOG)


DYNAMIC = (
    _dynamic(
        "UD-IQ1_S",
        "IQ1_S",
        Rule("ffn_down_exps", "IQ2_XXS", _first_expert_layers(6)),
        shared="Q5_K",
    ),
    _dynamic(
        "UD-IQ1_M",
        "IQ1_M",
        Rule("ffn_down_exps", "IQ2_XXS"),
        Rule("ffn_gate_exps", "IQ2_XXS"),
        shared="Q5_K",
    ),
    _dynamic(
        "UD-IQ2_XXS",
        "IQ2_XXS",
        Rule("ffn_down_exps", "Q3_K", _first_expert_layers(3)),
        Rule("ffn_down_exps", "Q2_K"),
        shared="Q5_K",
    ),
    _dynamic(
        "UD-Q2_K_XL",
        "Q2_K",
        Rule("ffn_down_exps", "Q3_K", _first_expert_layers(3)),
        shared="Q4_K",
    ),
)
