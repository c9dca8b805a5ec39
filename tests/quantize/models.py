"""Tiny models to quantise, and the few calls every test makes of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints import Checkpoint, open_checkpoint
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.quantize import pipeline
from stillhouse.quantize.importance_facts import Importance
from stillhouse.quantize.pipeline import QUIET, QuantizeProgress
from stillhouse.quantize.plan import Plan, make_plan
from stillhouse.quantize.recipes import Recipe, recipe
from stillhouse.quantize.source import Source, open_source
from tests.checkpoints.folders import CONFIG, write_folder
from tests.models.test_decoder import run

TOKENIZER = Path(__file__).parents[1] / "checkpoints/fixtures/bf16"
_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def tiny_folder(folder: Path, architecture: str = "LlamaForCausalLM", **changes: Any) -> Path:
    """A folder of float32 safetensors with SmolLM2's way of cutting text, 384 tokens."""
    config: Mapping[str, Any] = CONFIG | {
        "architectures": [architecture],
        "vocab_size": 384,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        **changes,
    }
    write_folder(folder, config=config)
    for name in _FILES:
        shutil.copy(TOKENIZER / name, folder / name)
    return folder


def planned(source: Source, how: str | Recipe, importance: Importance | None = None) -> Plan:
    """The plan of a recipe."""
    chosen = recipe(how) if isinstance(how, str) else how
    return make_plan(
        source,
        chosen.encodings(source.config.shape, imatrix=importance is not None),
        name=chosen.name,
        file_type=chosen.file_type,
        importance=importance,
    )


def quantized(
    path: Path,
    target: Path,
    how: str | Recipe,
    *,
    importance: Importance | None = None,
    force: bool = False,
    progress: QuantizeProgress = QUIET,
) -> Path:
    """Write the model at a path in the formats of a recipe."""
    source = open_source(path)
    with source.checkpoint:
        plan = planned(source, how, importance)
        pipeline.quantize(
            source,
            plan,
            target,
            importance=importance,
            threads=2,
            force=force,
            progress=progress,
        )
        assert target.stat().st_size == plan.file_bytes
    return target


def logits(checkpoint: Checkpoint, tokens: list[int]) -> npt.NDArray[np.float32]:
    """What the engine computes for every position."""
    model = load_model(checkpoint, threads=2)
    result = run(model, KVCache(model.config, 1, "bf16"), (tokens, 0, (0,)))
    model.close()
    return result


def logits_of(path: Path, tokens: list[int]) -> npt.NDArray[np.float32]:
    """The same of a model on disk."""
    with open_checkpoint(path) as checkpoint:
        return logits(checkpoint, tokens)
