"""A folder as llm-compressor's own recipe makes it.

Runs in that peer's environment, with the arguments FOLDER OUTPUT SCHEME GROUP WINDOWS.npy: a folder
in BF16, where to write, "fp8", "w8a8" or "w4a16", columns of a group (0: the scheme's own), and
int32 (samples, tokens). Recipes are those of llm-compressor's examples: FP8_DYNAMIC; SmoothQuant of
strength 0.8 and GPTQ; GPTQ. Prints seconds and the largest resident memory as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    """Make one folder."""
    folder, output, scheme = sys.argv[1:4]
    group, windows = int(sys.argv[4]), np.load(sys.argv[5])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = {
        "input_ids": windows.tolist(),
        "attention_mask": np.ones_like(windows).tolist(),
    }
    data: dict[str, Any] = {}
    if scheme != "fp8":
        data = {
            "dataset": Dataset.from_dict(rows),
            "max_seq_length": windows.shape[1],
            "num_calibration_samples": len(windows),
        }
    start_s = time.perf_counter()
    oneshot(model=model, processor=tokenizer, recipe=_recipe(scheme, group), **data)
    seconds = time.perf_counter() - start_s
    model.save_pretrained(output, save_compressed=True)
    tokenizer.save_pretrained(output)
    (Path(output) / "tokenizer.json").write_bytes((Path(folder) / "tokenizer.json").read_bytes())
    about = {
        "version": version("llmcompressor"),
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(about))


def _recipe(scheme: str, group: int) -> list[Any]:
    if scheme == "fp8":
        return [QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head"])]
    if scheme == "w8a8":
        return [
            SmoothQuantModifier(smoothing_strength=0.8),
            GPTQModifier(targets="Linear", scheme="W8A8", ignore=["lm_head"]),
        ]
    if not group or group == 128:
        return [GPTQModifier(targets="Linear", scheme="W4A16", ignore=["lm_head"])]
    weights = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=group)
    groups = {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}
    return [GPTQModifier(config_groups=groups, ignore=["lm_head"])]


if __name__ == "__main__":
    main()
