"""Who takes part in `throughput.py`: how each engine is started, and what it keeps in memory."""

from __future__ import annotations

import ctypes.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_checkpoint import Scheme, make_checkpoint
from turns import Worker

from stillhouse.bench.roofline import Format
from stillhouse.checkpoints import Checkpoint
from stillhouse.models import cost
from stillhouse.models.config import ModelConfig

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Contender:
    """An engine with a model; `name` heads its column, `model` is what its script loads."""

    name: str
    python: Path
    script: Path
    model: Path
    form: Format
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = False

    def start(self, threads: int, *, users: int, context_tokens: int, kv_tokens: int) -> Worker:
        """Loads the model for at most so many users at once, tokens of one, and tokens of all."""
        numbers = (str(number) for number in (threads, users, context_tokens, kv_tokens))
        return Worker(
            self.python, self.script, str(self.model), *numbers, environment=self.environment
        )


def with_gguf(
    path: Path, checkpoint: Checkpoint, config: ModelConfig, environments: Path
) -> list[Contender]:
    """Stillhouse and the peers that read the file itself.

    What a step reads is taken from the file: OpenVINO lays its weights out anew as it loads them.
    """
    sizes = {name: tensor.num_bytes for name, tensor in checkpoint.tensors.items()}
    weight_bytes = round(cost.weight_bytes_per_step(sizes, config.shape))
    form = Format("GGUF", weight_bytes, kv_type="bf16", numbers="int8")
    return [
        Contender(
            "stillhouse",
            Path(sys.executable),
            _HERE / "stillhouse_turns.py",
            path,
            form,
            is_ours=True,
        ),
        Contender(
            "llama.cpp",
            environments / "llama_cpp/bin/python",
            _HERE / "peers/llama_cpp_turns.py",
            path,
            form,  # its KV is float16: as many bytes
        ),
        Contender(
            "OpenVINO",
            environments / "openvino/bin/python",
            _HERE / "peers/openvino_turns.py",
            path,
            form._replace(kv_type="q8_0"),
        ),
    ]


def with_safetensors(
    gguf: Path, config: ModelConfig, environments: Path, work: Path
) -> list[Contender]:
    """vLLM and Stillhouse on checkpoints of the same weights, written to `work` if need be."""
    layers, head = cost.body_weights(config.shape), cost.head_weights(config.shape)
    forms: dict[Scheme, Format] = {
        "bf16": Format("BF16", 2 * layers + 2 * head, kv_type="bf16", numbers="bf16"),
        "w8a8": Format("INT8 W8A8", layers + 2 * head, kv_type="bf16", numbers="int8"),
    }
    folders: dict[Scheme, Path] = {
        "bf16": work / f"{gguf.stem}-bf16",
        "w8a8": work / f"{gguf.stem}-w8a8",
    }
    for scheme, folder in folders.items():
        make_checkpoint(gguf, folder, scheme)
    vllm = environments / "vllm"
    peers = [
        Contender(
            f"vLLM {forms[scheme].name}",
            vllm / "bin/python",
            _HERE / "peers/vllm_turns.py",
            folder,
            forms[scheme],
            {"LD_PRELOAD": vllm_preloads(vllm)},
        )
        for scheme, folder in folders.items()
    ]
    ours = Contender(
        f"stillhouse {forms['w8a8'].name}",
        Path(sys.executable),
        _HERE / "stillhouse_turns.py",
        folders["w8a8"],
        forms["w8a8"],
        is_ours=True,
    )
    return [*peers, ours]


def vllm_preloads(environment: Path) -> str:
    """What vLLM's guide for CPUs wants preloaded: Intel's OpenMP from its environment, and the
    allocator tcmalloc where the system has one.
    """
    tcmalloc = ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")
    openmp = environment / "lib/libiomp5.so"
    return ":".join(str(library) for library in (openmp, tcmalloc) if library)
