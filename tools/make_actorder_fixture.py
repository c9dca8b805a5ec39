"""Makes tests/checkpoints/fixtures/w4a16_actorder: columns in the order of their activations.

    pip install --no-deps --target /some/where compressed-tensors==0.10.2
    PYTHONPATH=/some/where python tools/make_actorder_fixture.py

in the environment of make_compressed_fixtures.py, and after it. GPTQ with `actorder: group` sorts
columns by importance before it cuts them into groups, and files say which group each column went
to (weight_g_idx). Versions of compressed-tensors after 0.10 neither write nor read that; this one
packs and unpacks the matrices here. The order is a random one, and the codes are rounded plainly:
what is tested is the reading.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors.quantized_compressors.pack_quantized import (
    PackedQuantizationCompressor,
)
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURES = Path(__file__).parents[1] / "tests/checkpoints/fixtures"
GROUP = 32
ARGS: dict[str, Any] = {
    "num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP,
    "actorder": "group",
}  # fmt: skip


def main() -> None:
    """Pack the BF16 folder's matrices, and compute logits from what the library unpacks."""
    source, target = FIXTURES / "bf16", FIXTURES / "w4a16_actorder"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    settings = {"group_0": {"targets": ["Linear"], "weights": ARGS}}
    config = QuantizationConfig(config_groups=settings, ignore=["lm_head"])
    compressor = PackedQuantizationCompressor(config=config)
    arguments = QuantizationArgs(**ARGS)
    plain = load_file(source / "model.safetensors")
    packed: dict[str, torch.Tensor] = {}
    unpacked: dict[str, torch.Tensor] = {}
    for number, (name, weight) in enumerate(plain.items()):
        if not name.endswith("_proj.weight"):
            packed[name] = unpacked[name] = weight
            continue
        module = name.removesuffix(".weight")
        group = torch.from_numpy(
            np.random.default_rng(number).permutation(np.arange(weight.shape[1]) // GROUP)
        ).to(torch.int32)
        largest = torch.stack(
            [weight[:, group == n].abs().amax(dim=1) for n in range(weight.shape[1] // GROUP)], 1
        )
        parts = {"weight_scale": (largest / 7.5).to(torch.bfloat16), "weight_g_idx": group}
        parts |= compressor.compress_weight(
            weight, scale=parts["weight_scale"], g_idx=group, quantization_args=arguments
        )
        unpacked[name] = compressor.decompress_weight(dict(parts), arguments)
        packed |= {f"{module}.{part}": value.contiguous() for part, value in parts.items()}
    save_file(packed, target / "model.safetensors", {"format": "pt"})
    content = json.loads((source / "config.json").read_text(encoding="utf-8"))
    described: dict[str, Any] = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "frozen",
        "config_groups": settings,
        "ignore": ["lm_head"],
    }
    (target / "config.json").write_text(
        json.dumps({**content, "quantization_config": described}, indent=2), encoding="utf-8"
    )
    model = LlamaForCausalLM(LlamaConfig(**content)).eval()
    model.load_state_dict(unpacked, strict=False)
    model.tie_weights()
    model.float()
    token_ids = np.load(source / "logits.npz")["token_ids"]
    with torch.no_grad():
        logits = model(torch.from_numpy(token_ids)[None]).logits[0].numpy()
    np.savez_compressed(
        target / "logits.npz", token_ids=token_ids, logits=logits, weights_only=logits
    )


if __name__ == "__main__":
    main()
