"""What physics allows a claimed speed: bandwidth, arithmetic and memory, each with its formula.

Every limit is taken in the claim's favour: all devices read and multiply at once, at their peaks,
in the fastest numbers that they have, with a short context.
"""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.catalog import System, known_devices
from stillhouse.models import cost
from stillhouse.planner.memory import device_weights
from stillhouse.planner.speed import step_bytes
from stillhouse.planner.targets import USUAL_RAM_BYTES_PER_S, Target
from stillhouse.planner.weights import Weights
from stillhouse.units import format_bytes

LIMIT_CONTEXT_TOKENS = 512
"""A question and the first half of its answer, where a claim does not say more."""

_DISK_BYTES_PER_S = 14e9  # four lanes of PCIe 5
_TERA = 1e12


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that is possible, in tokens a second of all users, or the least of seconds."""

    name: str  # bandwidth, arithmetic or memory
    value: float
    formula: str


def all_read_bytes_per_s(target: Target) -> float:
    """Of all devices at once."""
    return target.count * target.read_bytes_per_s


def bandwidth_limit(weights: Weights, users: int, target: Target) -> Limit:
    """A step gives each user a token and reads the weights that it needs once."""
    read = step_bytes(weights, users, LIMIT_CONTEXT_TOKENS, "f16")
    peak = all_read_bytes_per_s(target)
    what = "weights"
    if weights.shape.experts is not None:
        used = cost.expected_experts(weights.shape, users)
        what = f"weights with {used:.3g} of {weights.shape.experts.count} experts a layer"
    each = f"{target.count} x " if target.count > 1 else ""
    return Limit(
        "bandwidth",
        users * peak / read,
        f"a step reads {format_bytes(read)}: {what}, and {users} x {LIMIT_CONTEXT_TOKENS} tokens of"
        f" KV cache; {users} x {each}{target.read_bytes_per_s / 1e9:.4g} GB/s / {read / 1e9:.4g} GB"
        f" = {users * peak / read:.4g} tok/s at the most",
    )


def arithmetic_limit(weights: Weights, system: System) -> Limit | None:
    """Two operations a weight and token; None where the peak of the device's matrices is not known.

    What is published of vector units is no bound: int8 products are faster there.
    """
    peak = peak_operations_per_s(system)
    if peak is None:
        return None
    operations = cost.operations_per_token(weights.shape, LIMIT_CONTEXT_TOKENS)
    return Limit(
        "arithmetic",
        peak / operations,
        f"a token takes {operations / 1e9:.4g} billion operations; {peak / _TERA:.4g} TOPS /"
        f" {operations / 1e9:.4g}e9 = {peak / operations:.4g} tok/s at the most",
    )


def peak_operations_per_s(system: System) -> float | None:
    """Of all devices, in FP16 or int8, whichever is faster."""
    device = system.device
    if device.fp16_units != "matrix" or device.fp16_tflops is None:
        return None
    return system.count * max(device.fp16_tflops, device.int8_tops or 0) * _TERA


def memory_limit(weights: Weights, users: int, system: System, target: Target) -> Limit | None:
    """What moving the rest elsewhere leaves; None where weights and caches fit as they are.

    From the whole memory, with nothing for buffers or a driver. The rest is read from the fastest
    main memory of the catalogue, or from a disk where the device's memory is main memory.
    """
    resident = weights.total_bytes
    if not target.is_processor:
        resident = device_weights(weights, target.engine).num_bytes
    token_bytes = cost.kv_bytes_per_token(weights.shape, "f16")
    needed = resident + users * LIMIT_CONTEXT_TOKENS * token_bytes
    have = system.total_memory_bytes
    if needed <= have:
        return None
    read = step_bytes(weights, users, LIMIT_CONTEXT_TOKENS, "f16")
    slow = min(_read_elsewhere(weights, users, needed - have), read)

    def at(elsewhere: float) -> float:
        seconds = (read - slow) / all_read_bytes_per_s(target) + slow / elsewhere
        return users / seconds

    missing = f"{format_bytes(needed)} of weights and caches, {format_bytes(have)} of memory"
    if system.device.shares_memory:
        return Limit(
            "memory",
            at(_DISK_BYTES_PER_S),
            f"{missing}: {format_bytes(slow)} a step from a disk of"
            f" {_DISK_BYTES_PER_S / 1e9:g} GB/s, {at(_DISK_BYTES_PER_S):.3g} tok/s at the most",
        )
    fastest = max(d.bandwidth_bytes_per_s for d in known_devices() if d.vendor == "cpu")
    return Limit(
        "memory",
        at(fastest),
        f"{missing}: {format_bytes(slow)} a step from main memory,"
        f" {at(USUAL_RAM_BYTES_PER_S):.3g} tok/s at the most with a desktop's"
        f" {USUAL_RAM_BYTES_PER_S / 1e9:.4g} GB/s, {at(fastest):.3g} with the fastest server's"
        f" {fastest / 1e9:.4g}",
    )


def ttft_limit(
    weights: Weights, prompt_tokens: int | None, system: System, target: Target
) -> Limit:
    """The least seconds: every weight of a token read once, and the prompt's products."""
    read_s = step_bytes(weights, 1, 0, "f16") / all_read_bytes_per_s(target)
    formula = (
        f"the first token reads the weights once: {read_s * 1e3:.3g} ms at the whole bandwidth"
    )
    peak = peak_operations_per_s(system)
    if peak is None:
        return Limit("ttft", read_s, formula)
    operations = cost.operations_per_token(weights.shape, 0, with_logits=False)
    if prompt_tokens is None:
        return Limit(
            "ttft",
            read_s,
            f"{formula}; a token of the prompt takes {operations / 1e9:.4g}e9 operations, so a"
            f" second is enough for {peak / operations:.4g} of them at {peak / _TERA:.4g} TOPS",
        )
    multiply_s = prompt_tokens * operations / peak
    return Limit(
        "ttft",
        max(read_s, multiply_s),
        f"{formula}; {prompt_tokens} x {operations / 1e9:.4g}e9 operations at"
        f" {peak / _TERA:.4g} TOPS take {multiply_s * 1e3:.3g} ms",
    )


def _read_elsewhere(weights: Weights, users: int, missing: float) -> float:
    """Bytes of a step that are not on the device: of a mixture of experts, experts stay away."""
    sizes = weights.tensor_bytes
    routed = sum(size for name, size in sizes.items() if name.endswith("_exps.weight"))
    experts = weights.shape.experts
    if experts is None or not routed:
        return missing
    needed = cost.expected_experts(weights.shape, users) / experts.count
    return min(missing, routed) * needed
