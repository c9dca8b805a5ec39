"""Claims of a speed, or of a time to the first token, against what physics allows."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.catalog import efficiency_for
from stillhouse.catalog.devices import GIB
from stillhouse.planner.claim_text import Claim
from stillhouse.planner.findings import Finding
from stillhouse.planner.limits import (
    LIMIT_CONTEXT_TOKENS,
    Limit,
    arithmetic_limit,
    bandwidth_limit,
    memory_limit,
    ttft_limit,
)
from stillhouse.planner.placement import Placement, place
from stillhouse.planner.published import published_runs
from stillhouse.planner.speed import decode_step_s, step_bytes
from stillhouse.planner.targets import Target, target_of
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload
from stillhouse.units import format_seconds

_SURPRISING = 1.5  # times the prediction: possible, but nobody has shown it
_SPEED_CONTEXT = 1024  # of a short benchmark, where a claim of speed does not say


def check_speed(claim: Claim, weights: Weights, target: Target) -> Finding:
    """The lower end of a claimed range against each limit."""
    assert claim.system is not None
    assert claim.tokens_per_s_low is not None
    rate, users = claim.tokens_per_s_low, claim.users
    limits: list[Limit] = [bandwidth_limit(weights, users, target)]
    for more in (
        arithmetic_limit(weights, claim.system),
        memory_limit(weights, users, claim.system, target),
    ):
        limits += [more] if more is not None else []
    least = min(limits, key=lambda limit: limit.value)
    placement, predicted = _predicted(claim, weights, target)
    reasons = [f"{limit.name}: {limit.formula}" for limit in limits]
    if claim.context_tokens is not None:
        full = users * target.count * target.read_bytes_per_s
        full /= step_bytes(weights, users, claim.context_tokens, "f16")
        reasons.append(
            f"bandwidth, when all {claim.context_tokens:,} tokens are in use: {full:.4g} tok/s"
        )
    if target.count > 1 and target.engine == "llama.cpp":
        reasons.append(
            f"layers that are split over devices, as llama.cpp does by itself, are read in turn:"
            f" {limits[0].value / target.count:.4g} tok/s at the most"
        )
    if placement.verdict != "fits":
        reasons.append(f"memory as planned: {placement.reason}")
    if predicted is not None:
        reasons.append(
            f"predicted: {predicted:.3g} tok/s, as {target.engine} reaches on devices of this kind"
        )
    high = claim.tokens_per_s_high
    if high is not None and rate <= least.value < high:
        reasons.append(f"the upper end of the range, {high:g}, is above the limit")
    is_possible = rate <= least.value
    if not is_possible:
        headline = _impossible(claim, weights, target, limits[0], least)
        reasons.append(
            f"only drafts that are right {rate / least.value - 1:.1f} times a step on average"
            " (speculative decoding) would make it so, and none are mentioned"
        )
    else:
        headline = (
            f"possible: {rate:g} tok/s of at most {least.value:.4g} ({least.name}){_users(users)}"
        )
        if predicted is not None:
            headline += f"; {predicted:.3g} are predicted"
            if rate > _SURPRISING * predicted and placement.ram_share:
                headline += " with a desktop's main memory, and only a server's is faster"
            elif rate > _SURPRISING * predicted:
                headline += (
                    f", and it is above what {_num_runs(target)} published runs of this kind"
                )
                headline += " reach"
    return Finding(
        "possible" if is_possible else "impossible",
        is_possible,
        headline,
        tuple(reasons),
        placement,
        predicted,
        least.value,
    )


def check_ttft(claim: Claim, weights: Weights, target: Target) -> Finding:
    assert claim.system is not None
    assert claim.ttft_s is not None
    limit = ttft_limit(weights, claim.prompt_tokens, claim.system, target)
    is_possible = claim.ttft_s >= limit.value
    least = format_seconds(limit.value) if limit.value >= 0.01 else f"{limit.value * 1e3:.2g} ms"
    word = "possible" if is_possible else "impossible"
    headline = (
        f"{word}: {claim.ttft_s * 1e3:.4g} ms to the first token, {least} at the least"
        f" on the {claim.system.device.name}"
    )
    return Finding(
        "possible" if is_possible else "impossible", is_possible, headline, (limit.formula,)
    )


def _impossible(
    claim: Claim, weights: Weights, target: Target, bandwidth: Limit, least: Limit
) -> str:
    assert claim.system is not None
    assert claim.tokens_per_s_low is not None
    rate, users = claim.tokens_per_s_low, claim.users
    name = claim.system.device.name
    if claim.system.count > 1:
        name = f"{claim.system.count} {name} together"
    most = f"so at most {least.value:.1f} tok/s{_users(users) or ' at one user'}"
    if least.name == "bandwidth" or rate > bandwidth.value:
        read = step_bytes(weights, users, LIMIT_CONTEXT_TOKENS, "f16")
        peak = target.count * target.read_bytes_per_s
        each = "a token" if users == 1 else f"for {users} tokens"
        step = f"{rate:g} tok/s" if users == 1 else f"{rate:g} tok/s / {users}"
        verb = "read" if claim.system.count > 1 else "reads"
        return (
            f"impossible: {step} x {read / 1e9:.1f} GB read {each} ="
            f" {rate / users * read / 1e9:,.0f} GB/s; the {name} {verb} {peak / 1e9:.0f} GB/s"
            f" at the most, {most}"
        )
    if least.name == "memory":
        return (
            f"impossible: {rate:g} tok/s of what does not fit the {name}, {most} ({least.formula})"
        )
    return f"impossible: {rate:g} tok/s on the {name}, {most} ({least.formula})"


def _predicted(claim: Claim, weights: Weights, target: Target) -> tuple[Placement, float | None]:
    """As it would lie there with all the main memory it may need; None where it cannot run."""
    assert claim.system is not None
    if not claim.system.device.shares_memory and target.ram_bytes is None:
        roomy = replace(claim.system, ram_bytes=2 * weights.total_bytes + 64 * GIB)
        target = replace(target_of(roomy), engine=target.engine)
    context = claim.context_tokens or _SPEED_CONTEXT
    workload = Workload.of(users=claim.users, context_tokens=context)
    placement = place(weights, workload, target, "f16")
    if placement.verdict == "does_not_fit" and memory_limit(
        weights, claim.users, claim.system, target
    ):
        return placement, None
    step_s = decode_step_s(
        weights,
        claim.users,
        LIMIT_CONTEXT_TOKENS,
        target,
        "f16",
        efficiency_for(target.kind, target.engine),
        ram_share=placement.ram_share,
    )
    return placement, claim.users / step_s


def _num_runs(target: Target) -> int:
    return sum(
        run.counts and (run.kind, run.engine) == (target.kind, target.engine)
        for run in published_runs()
    )


def _users(users: int) -> str:
    return f" for {users} users together" if users > 1 else ""
