"""Makes tests/checkpoints/fixtures: small model folders as the reference libraries write them, and
rope's angles as transformers computes them.

    python -m venv /some/where && /some/where/bin/pip install \
        torch transformers==5.17.0 llmcompressor==0.14.0.1 compressed-tensors==0.19.0 gguf
    /some/where/bin/python tools/make_compressed_fixtures.py smollm2.gguf

A corner of SmolLM2-135M-Instruct (Apache-2.0): two layers, 192 of 576 columns, 256 of 1,536 FFN
rows, three heads that share one KV head, and the first 384 tokens. Its answers mean nothing; its
numbers are those of a trained model. Each folder is quantised by llm-compressor and read back by
transformers with compressed-tensors, whose logits go into the folder's logits.npz: token_ids int64
(tokens,); logits float32 (tokens, vocab), with all rounding that the format asks for; weights_only,
as logits, with activations left as float32.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FIXTURES = Path(__file__).parents[1] / "tests/checkpoints/fixtures"
HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCAB = 192, 256, 3, 1, 64, 2, 384
TOKENS = 24


def main(gguf_path: Path) -> None:
    """Write every fixture anew."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        save_corner(gguf_path, base)
        shutil.rmtree(FIXTURES, ignore_errors=True)
        FIXTURES.mkdir()
        save_angles(FIXTURES / "rope.json")
        for name, modifier in modifiers().items():
            target = FIXTURES / name
            model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
            if modifier is not None:
                oneshot(model=model, recipe=modifier)
            model.save_pretrained(target)
            for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                shutil.copy(base / file, target / file)
            (target / "recipe.yaml").unlink(missing_ok=True)
            save_logits(target)


def modifiers() -> dict[str, QuantizationModifier | None]:
    """What each folder is made with; None leaves BF16."""
    linear = {"targets": ["Linear"], "ignore": ["lm_head"]}

    def weights_alone(**settings: Any) -> QuantizationModifier:
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**settings))
        return QuantizationModifier(config_groups={"group_0": scheme}, ignore=["lm_head"])

    return {
        "bf16": None,
        "w8a8": QuantizationModifier(scheme="W8A8", **linear),
        "w4a16": weights_alone(num_bits=4, strategy="group", group_size=64),
        "w4a16_asymmetric": weights_alone(
            num_bits=4, strategy="group", group_size=32, symmetric=False
        ),
        "fp8_dynamic": QuantizationModifier(scheme="FP8_DYNAMIC", **linear),
        # Without activations: compressed-tensors takes theirs by 128 columns, and there are 192.
        "fp8_block": weights_alone(
            num_bits=8, type="float", strategy="block", block_structure=[128, 128]
        ),
    }


def save_corner(gguf_path: Path, folder: Path) -> None:
    """The corner as a folder in BF16."""
    source = {"pretrained_model_name_or_path": gguf_path.parent, "gguf_file": gguf_path.name}
    whole = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).state_dict()
    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=FFN, num_hidden_layers=LAYERS, vocab_size=VOCAB,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM,
        rope_theta=100_000.0, max_position_embeddings=8192, tie_word_embeddings=True,
        rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    corner = {
        name: whole[name][tuple(slice(size) for size in value.shape)].to(torch.bfloat16)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(corner)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """Keep the tokens below VOCAB and the merges that make them, cut as SmolLM2 publishes it.

    What transformers makes of a GGUF file's tokenizer has other cuts and another end of text.
    """
    path = folder / "tokenizer.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = content["model"]
    model |= {"byte_fallback": False, "fuse_unk": False, "unk_token": None}
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content |= {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**letters, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**letters, "use_regex": True},
    }
    named = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    kept = {token: i for token, i in model["vocab"].items() if i < VOCAB}
    pairs = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    model["merges"] = [
        [left, right] for left, right in pairs if {left, right, left + right} <= kept.keys()
    ]
    model["vocab"] = kept
    content["added_tokens"] = [t for t in content["added_tokens"] if t["id"] < VOCAB]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def save_angles(path: Path) -> None:
    """What transformers makes of each scaling of rope: angles for a position, and the magnitude."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    scalings: dict[str, dict[str, Any]] = {
        "default": {"rope_type": "default"},
        "linear": {"rope_type": "linear", "factor": 3.0},
        "llama3": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "yarn": yarn,
        "yarn with limits": {**yarn, "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 0.9},
        "yarn with mscale": {**yarn, "mscale": 1.0, "mscale_all_dim": 0.7},
    }  # fmt: skip
    cases = []
    for name, scaling in scalings.items():
        scaling["rope_theta"] = 1e6
        given = {"rope_parameters": scaling, "max_position_embeddings": 131_072}
        rope = LlamaRotaryEmbedding(LlamaConfig(head_dim=128, **given))
        cases.append(
            {
                "name": name,
                "config": given,
                "inv_freq": rope.inv_freq.tolist(),
                "attention_factor": rope.attention_scaling,
            }
        )
    path.write_text(json.dumps(cases), encoding="utf-8")


def save_logits(folder: Path) -> None:
    """The reference's logits for fixed tokens, computed in float32."""
    token_ids = np.random.default_rng(0).integers(0, VOCAB, TOKENS)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def logits() -> Any:
        with torch.no_grad():
            return model(torch.from_numpy(token_ids)[None]).logits[0].float().numpy()

    rounded = logits()
    for module in model.modules():
        if hasattr(module, "quantization_scheme"):
            module.quantization_scheme.input_activations = None
    np.savez_compressed(
        folder / "logits.npz", token_ids=token_ids, logits=rounded, weights_only=logits()
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
