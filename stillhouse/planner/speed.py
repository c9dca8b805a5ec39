"""How fast: a roofline for reading a prompt and for writing tokens, and what follows for a person.

A step writes a token for every user. It takes

    (read^3 + unpack^3 + multiply^3)^(1/3) + attend + users x row + step

seconds, where *read* is every byte of weights once and everybody's KV cache over the memory's
bandwidth, *unpack* the arithmetic that taking codes apart costs once a step, *multiply* the
products of all users, each over the part of the peak that an engine reaches on this kind of device
(`catalog/efficiencies.toml`). They overlap, so the largest rules: the exponent 3 gives two equal
ones 1.26 times either, which is what four users cost on this engine (docs/LOG.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.catalog import Efficiency, efficiency_for
from stillhouse.models import cost
from stillhouse.models.cost import PlannedKVType
from stillhouse.planner.targets import Target
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload

_OVERLAP = 3.0  # the exponent above
_PREFILL_ROWS = 512  # of a prompt at once, in this engine and in llama.cpp


@dataclass(frozen=True, slots=True)
class Speed:
    """What one system does with one model, all users together unless it says otherwise."""

    decode_tokens_per_s: float
    prefill_tokens_per_s: float
    limit_tokens_per_s: float  # of decoding, if the memory's whole bandwidth were reached
    ttft_s: float  # the mean of all users, who ask at the same time
    time_to_answer_s: float  # until the first token of the answer, when all prompts are read
    whole_answer_s: float  # until its last one
    thinking_tax_s: float  # of that, what the thought takes
    step_bytes: float  # read for one step
    efficiency: Efficiency
    how: tuple[str, ...]


def speed(
    weights: Weights,
    workload: Workload,
    target: Target,
    kv_type: PlannedKVType,
    *,
    ram_share: float = 0.0,
) -> Speed:
    """The roofline at the middle of the thought. `ram_share` of the weights lies in main memory."""
    efficiency = efficiency_for(target.kind, target.engine)
    users, context = workload.users, workload.middle_tokens
    bytes_read = step_bytes(weights, users, context, kv_type)
    step_s = decode_step_s(
        weights, workload.users, context, target, kv_type, efficiency, ram_share=ram_share
    )
    prefill_s = prefill_s_of(weights, workload.prompt_tokens, target, efficiency)
    if ram_share and target.ram_bytes_per_s:
        prefill_s += ram_share * weights.total_bytes / target.ram_bytes_per_s
    per_user = 1 / step_s
    ttft_s = (users + 1) / 2 * prefill_s + step_s
    time_to_answer_s = users * prefill_s + step_s + workload.thinking_tokens / per_user
    peak = _parallel(target) * target.read_bytes_per_s
    limit_s = bytes_read / peak
    if ram_share and target.ram_bytes_per_s:
        limit_s = (1 - ram_share) * limit_s + ram_share * bytes_read / target.ram_bytes_per_s
    limit = users / limit_s
    how = (
        f"a step reads {bytes_read / 1e9:.3f} GB: weights, and {users} x {context} tokens of"
        f" {kv_type} KV cache",
        f"at {peak / 1e9:.4g} GB/s{_beside(target, ram_share)} that is {limit_s * 1e3:.3g} ms, so"
        f" at most {limit:.4g} tok/s; {efficiency.read_share:.0%} of the bandwidth is what"
        f" {target.engine} reaches there ({efficiency.source})",
        f"predicted: {step_s * 1e3:.4g} ms a step, {users / step_s:.4g} tok/s together,"
        f" {per_user:.4g} each",
        f"a prompt of {workload.prompt_tokens} takes {prefill_s:.3g} s, the thought of"
        f" {workload.thinking_tokens} tokens {workload.thinking_tokens / per_user:.3g} s",
    )
    return Speed(
        decode_tokens_per_s=users / step_s,
        prefill_tokens_per_s=workload.prompt_tokens / prefill_s,
        limit_tokens_per_s=limit,
        ttft_s=ttft_s,
        time_to_answer_s=time_to_answer_s,
        thinking_tax_s=workload.thinking_tokens / per_user,
        whole_answer_s=time_to_answer_s + workload.answer_tokens / per_user,
        step_bytes=bytes_read,
        efficiency=efficiency,
        how=how,
    )


def step_bytes(weights: Weights, users: int, context_tokens: int, kv_type: PlannedKVType) -> float:
    """Bytes that a step for so many users reads, each with so long a context."""
    kv_bytes = users * context_tokens * cost.kv_bytes_per_token(weights.shape, kv_type)
    if "*" in weights.tensor_bytes:
        return weights.total_bytes - weights.embedding_bytes + float(kv_bytes)
    read = cost.weight_bytes_per_step(weights.tensor_bytes, weights.shape, tokens=users)
    return read + kv_bytes


def decode_step_s(
    weights: Weights,
    users: int,
    context_tokens: int,
    target: Target,
    kv_type: PlannedKVType,
    efficiency: Efficiency,
    *,
    ram_share: float = 0.0,
) -> float:
    """Seconds of a step that gives every user a token."""
    shape = weights.shape
    bytes_read = step_bytes(weights, users, context_tokens, kv_type)
    devices = _parallel(target)
    read_s = (
        (1 - ram_share) * bytes_read / (devices * target.read_bytes_per_s * efficiency.read_share)
    )
    if ram_share and target.ram_bytes_per_s:
        read_s += ram_share * bytes_read / (target.ram_bytes_per_s * efficiency.read_share)
    unpack_s = multiply_s = attend_s = 0.0
    if target.operations_per_s is not None:
        peak = devices * target.operations_per_s
        for_one = cost.operations_per_token(shape, 0)
        multiply_s = users * for_one / (peak * efficiency.batch_share)
        if efficiency.unpack_share is not None:
            unpack_s = for_one / (peak * efficiency.unpack_share)
        if efficiency.attend_share is not None:
            attention = cost.operations_per_token(shape, context_tokens) - for_one
            attend_s = users * attention / (peak * efficiency.attend_share)
    overlapped_s = _overlapped(read_s, unpack_s, multiply_s)
    return overlapped_s + attend_s + users * efficiency.row_s + efficiency.step_s


def prefill_s_of(
    weights: Weights, prompt_tokens: int, target: Target, efficiency: Efficiency
) -> float:
    """Seconds to read a prompt that nothing of is cached."""
    shape = weights.shape
    devices = _parallel(target)
    chunks = -(-prompt_tokens // _PREFILL_ROWS)
    every_expert = weights.total_bytes - weights.embedding_bytes
    read_s = chunks * every_expert / (devices * target.read_bytes_per_s * efficiency.read_share)
    if target.operations_per_s is None:
        return max(read_s, prompt_tokens * read_s / _PREFILL_ROWS)
    peak = devices * target.operations_per_s
    body = cost.operations_per_token(shape, 0, with_logits=False)
    middle = prompt_tokens // 2
    attention = cost.operations_per_token(shape, middle, with_logits=False) - body
    multiply_s = prompt_tokens * body / (peak * efficiency.prefill_share)
    attend_share = efficiency.attend_prefill_share or efficiency.prefill_share
    attend_s = prompt_tokens * attention / (peak * attend_share)
    overlapped_s = _overlapped(read_s, multiply_s)
    return overlapped_s + attend_s + prompt_tokens * efficiency.prefill_row_s + efficiency.step_s


def _beside(target: Target, ram_share: float) -> str:
    """How the share that lies in main memory is read."""
    if not ram_share or not target.ram_bytes_per_s:
        return ""
    return f", {ram_share:.0%} of it at {target.ram_bytes_per_s / 1e9:.4g} GB/s,"


def _overlapped(*seconds: float) -> float:
    return float(sum(s**_OVERLAP for s in seconds) ** (1 / _OVERLAP))


def _parallel(target: Target) -> int:
    """Devices that work at the same time: vLLM splits every matrix, llama.cpp the layers."""
    return target.count if target.engine == "vllm" else 1
