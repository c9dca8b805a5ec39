"""llama.cpp's mixtures and those of the publishers, as data.

Source: src/llama-quant.cpp of ggml-org/llama.cpp at commit 007dbbf3fd17 unless a line says
otherwise. `mixture.py` says how the rules are read.
"""

from __future__ import annotations

from dataclasses import replace

from stillhouse.errors import UsageError
from stillhouse.models.dynamic_mixtures import DYNAMIC, UNPUBLISHED
from stillhouse.models.mixture import Condition, Mixture, Place, Rule

_UPSTREAM = "llama.cpp src/llama-quant.cpp at 007dbbf3fd17"


def mixture(name: str, repo: str = "") -> Mixture:
    """The mixture of that name, as the repository's publisher makes it if they have their own way.

    Raises UsageError for a name whose recipe is not known.
    """
    wanted = name.upper()
    for key in (f"{repo}/{wanted}", f"{repo.partition('/')[0]}/{wanted}", wanted):
        if key in MIXTURES:
            return MIXTURES[key]
    if wanted.startswith("UD-") and repo in UNPUBLISHED:
        raise UsageError(
            f"what formats '{name}' of {repo} mixes is not known", hint=UNPUBLISHED[repo]
        )
    raise UsageError(
        f"what formats a '{name}' file mixes is not known",
        hint=f"known: {', '.join(key.lower() for key in MIXTURES if '/' not in key)}",
    )


def _shares_keys(place: Place) -> bool:
    """Few keys and values serve many heads, so that better ones cost little."""
    return place.heads_a_key >= 4


def _shares_keys_or_routes(place: Place) -> bool:
    return place.heads_a_key >= 4 or place.num_experts >= 4


def _spread(place: Place) -> bool:
    """The first and the last eighth, and every third layer between: upstream's use_more_bits."""
    eighth = place.count // 8
    at_ends = place.index < eighth or place.index >= 7 * place.count // 8
    return at_ends or (place.index - eighth) % 3 == 2


def _in_first(part: int) -> Condition:
    """One of the first `count / part`."""
    return lambda place: place.index < place.count // part


def _among(number: int) -> Condition:
    return lambda place: place.index < number


def _in_middle(place: Place) -> bool:
    return place.count // 8 <= place.index < 7 * place.count // 8


def _without_imatrix(place: Place) -> bool:
    return not place.has_imatrix


def _both(*conditions: Condition) -> Condition:
    return lambda place: all(condition(place) for condition in conditions)


def _has_eight_experts(place: Place) -> bool:
    return place.num_experts == 8


def _is_70b(place: Place) -> bool:
    """What upstream calls LLM_TYPE_70B: 80 layers that share keys."""
    shape = place.shape
    return (
        shape.architecture in ("llama", "qwen2")
        and shape.num_layers == 80
        and shape.num_heads != shape.num_kv_heads
    )


_FIRST_EIGHTH = _in_first(8)
_NO_IMATRIX_FIRST_EIGHTH = _both(_without_imatrix, _FIRST_EIGHTH)
_IMATRIX_FIRST_EIGHTH = _both(lambda place: place.has_imatrix, _FIRST_EIGHTH)

# Models of eight experts are small beside their attention: upstream gives that nearly all it has.
_EIGHT_EXPERTS = (
    Rule("attn_v", "Q8_0", _has_eight_experts),
    Rule("attn_k", "Q8_0", _has_eight_experts),
)
_EIGHT_EXPERTS_OUTPUT = (Rule("attn_output", "Q5_K", _has_eight_experts),)


def _large(*rules: Rule) -> tuple[Rule, ...]:
    """The rules, with those for attention's values raised in a 70B, where Q3_K or Q4_K come out."""
    raised = []
    for rule in rules:
        if rule.kind == "attn_v" and rule.encoding in ("Q3_K", "Q4_K"):
            condition = _is_70b if rule.condition is None else _both(_is_70b, rule.condition)
            raised.append(Rule("attn_v", "Q5_K", condition))
        raised.append(rule)
    return tuple(raised)


def _plain(
    name: str, base: str, *rules: Rule, embedding: str | None = None, head: str = "Q6_K"
) -> Mixture:
    """A mixture of upstream's, but for the tiny ones, which have rules of their own."""
    # A base that a 70B raises for attention's values needs a rule for `_large` to raise.
    values = () if base not in ("Q3_K", "Q4_K") else (Rule("attn_v", base),)
    all_rules = (*_EIGHT_EXPERTS, *_large(*rules, *values))
    return Mixture(name, base, all_rules, head, embedding, _UPSTREAM)


def _tiny(name: str, base: str, more: str, output: str | None, embedding: str) -> Mixture:
    """Those around one and two bits: `more` is what the first eighth of ffn_down gets."""
    output_rules = (Rule("attn_output", output),) if output else ()
    return Mixture(
        name,
        base,
        (
            Rule("attn_v", "Q4_K", _shares_keys_or_routes),
            Rule("attn_v", more),
            Rule("attn_k", "Q4_K", _has_eight_experts),
            Rule("ffn_down", more, _FIRST_EIGHTH),
            *_EIGHT_EXPERTS_OUTPUT,
            *output_rules,
        ),
        "Q5_K",
        embedding,
        _UPSTREAM,
        counts_every_down=True,
    )


_ALL = (
    *(Mixture(name, name, (), None, None, _UPSTREAM) for name in ("F32", "F16", "BF16")),
    _plain("Q8_0", "Q8_0", head="Q8_0"),
    _plain("Q6_K", "Q6_K"),
    _plain("Q5_K_S", "Q5_K"),
    _plain("Q5_K_M", "Q5_K", Rule("attn_v", "Q6_K", _spread), Rule("ffn_down", "Q6_K", _spread)),
    _plain(
        "Q4_K_S",
        "Q4_K",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q5_K", _among(4)),
        Rule("ffn_down", "Q5_K", _FIRST_EIGHTH),
    ),
    _plain(
        "Q4_K_M",
        "Q4_K",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q6_K", _spread),
        Rule("ffn_down", "Q6_K", _spread),
    ),
    _plain("Q3_K_S", "Q3_K", *_EIGHT_EXPERTS_OUTPUT),
    _plain(
        "Q3_K_M",
        "Q3_K",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q5_K", _among(2)),
        Rule("attn_v", "Q4_K"),
        Rule("ffn_down", "Q5_K", _in_first(16)),
        Rule("ffn_down", "Q4_K"),
        Rule("attn_output", "Q4_K"),
    ),
    _plain(
        "Q3_K_L",
        "Q3_K",
        Rule("attn_v", "Q5_K"),
        Rule("ffn_down", "Q5_K"),
        Rule("attn_output", "Q3_K", _has_eight_experts),
        Rule("attn_output", "Q5_K"),
    ),
    _plain(
        "Q2_K",
        "Q2_K",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q4_K", _shares_keys),
        Rule("attn_v", "Q3_K"),
        Rule("ffn_down", "Q3_K"),
        Rule("attn_output", "Q3_K"),
    ),
    _plain(
        "Q2_K_S",
        "Q2_K",
        Rule("attn_v", "Q4_K", _shares_keys),
        Rule("ffn_down", "Q4_K", _FIRST_EIGHTH),
    ),
    _plain("Q4_0", "Q4_0", Rule("ffn_down", "Q4_1", _IMATRIX_FIRST_EIGHTH)),
    _plain("Q4_1", "Q4_1"),
    _plain("Q5_0", "Q5_0", Rule("ffn_down", "Q5_1", _IMATRIX_FIRST_EIGHTH)),
    _plain("Q5_1", "Q5_1"),
    *(
        _plain(
            name,
            name,
            *_EIGHT_EXPERTS_OUTPUT,
            Rule("attn_v", "Q5_K", _shares_keys),
            Rule("ffn_down", "Q5_K", _NO_IMATRIX_FIRST_EIGHTH),
        )
        for name in ("IQ4_NL", "IQ4_XS")
    ),
    _plain(
        "IQ3_M",
        "IQ3_S",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q4_K"),
        Rule("ffn_down", "Q4_K", _FIRST_EIGHTH),
        Rule("ffn_down", "Q4_K", _both(_has_eight_experts, _spread)),
        Rule("attn_output", "Q4_K"),
    ),
    _plain("IQ3_S", "IQ3_S", *_EIGHT_EXPERTS_OUTPUT, Rule("attn_v", "Q4_K", _shares_keys)),
    _plain(
        "IQ3_XS",
        "IQ3_S",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q4_K", _shares_keys),
        Rule("attn_q", "IQ3_XXS"),
        Rule("attn_k", "IQ3_XXS"),
        Rule("ffn_gate", "IQ3_XXS", _in_middle),
        Rule("ffn_up", "IQ3_XXS", _in_middle),
    ),
    _plain(
        "IQ3_XXS",
        "IQ3_XXS",
        *_EIGHT_EXPERTS_OUTPUT,
        Rule("attn_v", "Q4_K", _shares_keys),
        Rule("attn_v", "IQ3_S", _without_imatrix),
        Rule("attn_q", "IQ2_S"),
        Rule("attn_k", "IQ2_S"),
        Rule("ffn_down", "Q4_K", _NO_IMATRIX_FIRST_EIGHTH),
        Rule("ffn_down", "Q3_K", _without_imatrix),
        Rule("attn_output", "IQ3_S"),
        embedding="IQ3_S",
        head="Q5_K",
    ),
    _tiny("IQ2_M", "IQ2_S", "IQ3_S", output="IQ3_S", embedding="IQ3_S"),
    _tiny("IQ2_S", "IQ2_XS", "IQ3_S", output="IQ3_S", embedding="IQ3_S"),
    _tiny("IQ2_XS", "IQ2_XS", "Q2_K", output=None, embedding="Q2_K"),
    _tiny("IQ2_XXS", "IQ2_XXS", "Q2_K", output=None, embedding="Q2_K"),
    _tiny("IQ1_M", "IQ1_M", "Q2_K", output="IQ2_XXS", embedding="Q2_K"),
    _tiny("IQ1_S", "IQ1_S", "Q2_K", output="IQ2_XXS", embedding="Q2_K"),
    _plain("TQ1_0", "TQ1_0", embedding="Q4_K"),
    _plain("TQ2_0", "TQ2_0", embedding="Q4_K"),
)
_UPSTREAMS = {one.name: one for one in _ALL}


def _with_tables(name: str, base: str) -> Mixture:
    return replace(
        _UPSTREAMS[base],
        name=name,
        head="Q8_0",
        embedding="Q8_0",
        source="bartowski's model cards: embeddings and output weights at Q8_0, else the default",
    )


_TABLES_AT_Q8_0 = {
    "Q2_K_L": "Q2_K",
    "Q3_K_XL": "Q3_K_L",
    "Q4_K_L": "Q4_K_M",
    "Q5_K_L": "Q5_K_M",
    "Q6_K_L": "Q6_K",
}

MIXTURES: dict[str, Mixture] = {
    **_UPSTREAMS,
    **{name: _with_tables(name, base) for name, base in _TABLES_AT_Q8_0.items()},
    "unsloth/Q2_K_L": replace(
        _UPSTREAMS["Q2_K"],
        name="Q2_K_L",
        embedding="Q4_K",
        source="inferred: their Q2_K_L of R1-0528-Qwen3-8B is larger than their Q2_K by 145858560"
        " bytes, the embeddings' 622329856 numbers at 1.875 bits more",
    ),
    "unsloth/IQ4_XS": replace(
        _UPSTREAMS["IQ4_XS"],
        embedding="Q4_K",
        source="inferred: their IQ4_XS of R1-0528-Qwen3-8B has 19447808 bytes more than"
        " llama.cpp's, the embeddings' 622329856 numbers at 0.25 bits more",
    ),
    **{f"unsloth/DeepSeek-R1-GGUF/{one.name}": one for one in DYNAMIC},
}
"""By name, or with the publisher or repository before it where theirs differ."""
