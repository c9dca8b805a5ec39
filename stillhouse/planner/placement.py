"""Whether a model fits a system: whole, split over its devices, or with layers or experts moved to
main memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from stillhouse.models.cost import PlannedKVType, expected_experts
from stillhouse.models.tensors import is_expert_layer
from stillhouse.planner.memory import compute_buffer, driver, kv_cache, memory
from stillhouse.planner.parts import Part
from stillhouse.planner.targets import Target
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload
from stillhouse.units import format_bytes

Verdict = Literal["fits", "marginal", "does_not_fit"]

# A device filled beyond this has no room for a longer chat, a desktop or another program.
_COMFORTABLE_SHARE = 0.92


@dataclass(frozen=True, slots=True)
class Placement:
    """Where everything lies. `tree` is all memory; `worst_bytes` what the fullest device holds."""

    verdict: Verdict
    reason: str
    tree: Part
    worst_bytes: int
    num_gpu_layers: int | None = None  # llama.cpp's -ngl, where not all layers fit
    experts_in_ram: bool = False  # llama.cpp's --cpu-moe
    ram_share: float = 0.0  # of the weights that a token reads, from main memory

    @property
    def flags(self) -> str:
        """What to tell llama.cpp."""
        if self.experts_in_ram:
            return "-ngl 99 --cpu-moe"
        return "" if self.num_gpu_layers is None else f"-ngl {self.num_gpu_layers}"


def place(
    weights: Weights, workload: Workload, target: Target, kv_type: PlannedKVType
) -> Placement:
    """The best that the system can do with it."""
    tree = memory(
        weights,
        workload,
        engine=target.engine,
        kv_type=kv_type,
        is_processor=target.is_processor,
    )
    worst = tree.num_bytes
    if target.count > 1:
        worst = _fullest_device(weights, workload, target, kv_type)
    if worst <= target.memory_bytes:
        share = worst / target.memory_bytes
        room = f"{format_bytes(worst)} of {format_bytes(target.memory_bytes)}"
        each = " on the fullest device" if target.count > 1 else ""
        if share <= _COMFORTABLE_SHARE:
            return Placement("fits", f"takes {room}{each}", tree, worst)
        return Placement("marginal", f"takes {room}{each}: {share:.0%}", tree, worst)
    moved = _with_main_memory(weights, workload, target, kv_type, tree)
    if moved is not None:
        return moved
    return Placement("does_not_fit", _why_not(weights, target, tree, worst), tree, worst)


def layer_bytes(weights: Weights) -> list[int]:
    """Weights of each layer; the head and what belongs to none are not in it."""
    layers = weights.shape.num_layers
    if "*" in weights.tensor_bytes:
        body = weights.total_bytes - 2 * weights.embedding_bytes
        return [body // layers] * layers
    found = [0] * layers
    for name, size in weights.tensor_bytes.items():
        if name.startswith("blk."):
            found[int(name.split(".")[1])] += size
    return found


def _fullest_device(
    weights: Weights, workload: Workload, target: Target, kv_type: PlannedKVType
) -> int:
    """Layers in equal runs, the head with the last one; buffers and drivers on each."""
    cache = kv_cache(weights, workload, engine=target.engine, kv_type=kv_type).num_bytes
    buffers = compute_buffer(weights, workload, target.engine).num_bytes
    fixed = buffers + driver(target.engine).num_bytes
    if target.engine == "vllm":
        return (weights.total_bytes + cache) // target.count + fixed
    layers = layer_bytes(weights)
    head = weights.total_bytes - sum(layers) - weights.embedding_bytes
    each_cache = cache / len(layers)
    edges = [round(n * (len(layers) + 1) / target.count) for n in range(target.count + 1)]
    parts = [*(size + each_cache for size in layers), float(head)]
    return fixed + max(int(sum(parts[a:b])) for a, b in pairwise(edges))


def _with_main_memory(
    weights: Weights, workload: Workload, target: Target, kv_type: PlannedKVType, tree: Part
) -> Placement | None:
    """Experts first, since a token reads few of them; else as many layers as fit stay."""
    if target.ram_bytes is None or target.engine != "llama.cpp" or target.is_processor:
        return None
    # Every device has its own buffers and driver; the tree counts them once.
    fixed = compute_buffer(weights, workload, target.engine).num_bytes
    fixed += driver(target.engine).num_bytes
    room = target.total_bytes - (target.count - 1) * fixed
    experts = _expert_bytes(weights)
    if experts and tree.num_bytes - experts <= room and experts <= target.ram_bytes:
        read = _active_share(weights, experts, workload.users)
        return Placement(
            "marginal",
            f"with its experts, {format_bytes(experts)}, in main memory: --cpu-moe",
            tree,
            (tree.num_bytes - experts + fixed * (target.count - 1)) // target.count,
            experts_in_ram=True,
            ram_share=read,
        )
    layers = layer_bytes(weights)
    cache = kv_cache(weights, workload, engine=target.engine, kv_type=kv_type).num_bytes
    each_cache = cache / len(layers)
    left = room - (tree.num_bytes - sum(layers) - cache)
    kept = 0
    for size in reversed(layers):
        if left < size + each_cache:
            break
        left -= int(size + each_cache)
        kept += 1
    weights_moved = sum(layers[: len(layers) - kept])
    moved = weights_moved + int((len(layers) - kept) * each_cache)  # the cache goes with its layer
    if kept == 0 or moved > target.ram_bytes:
        return None
    return Placement(
        "marginal",
        f"{len(layers) - kept} of {len(layers)} layers go to main memory, which is slow:"
        f" -ngl {kept}",
        tree,
        (tree.num_bytes - moved + fixed * (target.count - 1)) // target.count,
        num_gpu_layers=kept,
        ram_share=weights_moved / (weights.total_bytes - weights.embedding_bytes),
    )


def _expert_bytes(weights: Weights) -> int:
    sizes: Mapping[str, int] = weights.tensor_bytes
    return sum(size for name, size in sizes.items() if name.endswith("_exps.weight"))


def _active_share(weights: Weights, expert_bytes: int, users: int) -> float:
    """Of the bytes that a step for so many users reads, those of experts."""
    experts = weights.shape.experts
    assert experts is not None
    read = expert_bytes * expected_experts(weights.shape, users) / experts.count
    rest = weights.total_bytes - expert_bytes - weights.embedding_bytes
    assert any(is_expert_layer(weights.shape, layer) for layer in range(weights.shape.num_layers))
    return read / (read + rest)


def _why_not(weights: Weights, target: Target, tree: Part, worst: int) -> str:
    have = format_bytes(target.memory_bytes)
    if target.count > 1:
        have += f" on each of {target.count} devices"
    if weights.total_bytes - weights.embedding_bytes > target.total_bytes:
        return f"the weights alone are {format_bytes(weights.total_bytes)}, and there are {have}"
    cache = tree.find("KV cache")
    assert cache is not None
    return f"takes {format_bytes(worst)} with {format_bytes(cache.num_bytes)} of KV cache: {have}"
