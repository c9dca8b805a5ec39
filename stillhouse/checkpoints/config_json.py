"""A folder's config.json in the words of GGUF metadata, which the rest of Stillhouse reads.

GGUF has no word for two things, so two keys are our own: `ARCH.rope.pairing` is "half", as folders
keep the rows of queries and keys in the order of their models, where GGUF files of llama permute
them; and `ARCH.rope.scaling.type` may be "llama3", for which GGUF files hold a tensor of divisors.
Defaults are those of transformers' configuration classes.
"""

from __future__ import annotations

import math

from stillhouse.checkpoints.json_object import JsonObject
from stillhouse.errors import BadCheckpoint

_ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}

Values = dict[str, str | int | float]


def model_metadata(config: JsonObject) -> Values:
    """What `ModelConfig.from_metadata` reads. Ranges are checked there.

    Raises BadCheckpoint for an architecture, or a setting of one, that is not computed here.
    """
    arch = _architecture(config)
    _check_settings(config, arch)
    values: Values = {"general.architecture": arch, f"{arch}.rope.pairing": "half"}
    for name, key in (
        ("block_count", "num_hidden_layers"),
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("vocab_size", "vocab_size"),
    ):
        values[f"{arch}.{name}"] = config.integer(key)
    for name, key in (
        ("attention.head_count_kv", "num_key_value_heads"),
        ("attention.key_length", "head_dim"),
    ):
        if key in config:
            values[f"{arch}.{name}"] = config.integer(key)
    values[f"{arch}.attention.layer_norm_rms_epsilon"] = config.number("rms_norm_eps", 1e-6)
    values |= {f"{arch}.{name}": value for name, value in _rope(config).items()}
    return values


def _architecture(config: JsonObject) -> str:
    names = config.texts("architectures")
    for name in names:
        if name in _ARCHITECTURES:
            return _ARCHITECTURES[name]
    raise BadCheckpoint(
        f"architecture '{(names or ['none'])[0][:64]}' is not supported",
        hint=f"supported: {', '.join(_ARCHITECTURES)}",
    )


def _check_settings(config: JsonObject, arch: str) -> None:
    """Refuse what would change the result and is not computed."""
    activation = config.text("hidden_act", "silu")
    if activation != "silu":
        raise BadCheckpoint(f"hidden_act '{activation[:64]}' is not supported; silu is")
    for key in ("attention_bias", "mlp_bias", "use_sliding_window"):
        # Qwen2's biases of queries, keys and values are no setting; they are always there.
        if config.flag(key, False):
            raise BadCheckpoint(f"{key} is not supported for {arch}")


def _rope(config: JsonObject) -> Values:
    """Base, scaling and the context that results, as keys below the architecture's."""
    given = config.child("rope_parameters") or config.child("rope_scaling") or JsonObject({})
    base = given.number("rope_theta", config.number("rope_theta", 10_000.0))
    trained_tokens = config.integer("max_position_embeddings", 2048)
    if given.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0)) != 1:
        raise BadCheckpoint("rope over a part of the dimensions is not supported")
    values: Values = {"context_length": trained_tokens, "rope.freq_base": base}
    kind = given.text("rope_type", given.text("type", "default"))
    if kind == "default":
        return values
    if kind not in ("linear", "llama3", "yarn"):
        raise BadCheckpoint(
            f"rope scaling '{kind[:64]}' is not supported",
            hint="supported: linear, llama3, yarn",
        )
    factor = given.number("factor")
    if not 1 <= factor <= 1e4:
        raise BadCheckpoint(f"{given.where}factor is {factor:g}, not in 1 to 10,000")
    values |= {"rope.scaling.type": kind, "rope.scaling.factor": factor}
    original = given.integer("original_max_position_embeddings", trained_tokens)
    if kind == "linear":
        values["context_length"] = int(trained_tokens * factor)
    else:
        values["rope.scaling.original_context_length"] = original
    if kind == "llama3":
        for name in ("low_freq_factor", "high_freq_factor"):
            values[f"rope.scaling.{name}"] = given.number(name)
    if kind == "yarn":
        values |= _yarn(given, factor)
        # Files differ in whether they name the context before scaling here, or after.
        values["context_length"] = max(trained_tokens, int(original * factor))
    return values


def _yarn(given: JsonObject, factor: float) -> Values:
    """Yarn's blend and its factor of cosines and sines (transformers, `_compute_yarn_parameters`).

    GGUF names what is multiplied by the usual 1 + 0.1 ln factor; a folder names the product.
    """
    if not given.flag("truncate", True):
        raise BadCheckpoint("yarn with truncate: false is not supported")

    def usual(scale: float) -> float:
        return 1 + 0.1 * scale * math.log(factor)

    magnitude = usual(1.0)
    if "attention_factor" in given:
        magnitude = given.number("attention_factor")
    elif given.number("mscale", 0.0) and given.number("mscale_all_dim", 0.0):
        magnitude = usual(given.number("mscale")) / usual(given.number("mscale_all_dim"))
    return {
        "rope.scaling.yarn_beta_fast": given.number("beta_fast", 32.0),
        "rope.scaling.yarn_beta_slow": given.number("beta_slow", 1.0),
        "rope.scaling.attn_factor": magnitude / usual(1.0),
    }
