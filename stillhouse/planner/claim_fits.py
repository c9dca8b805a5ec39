"""Claims that a model fits, or of the memory it needs: at a short context and at a long one.

Where a claim does not say for how many tokens, both 4,096 and 32,768 are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stillhouse.catalog import System
from stillhouse.catalog.devices import GIB, unnamed_device
from stillhouse.catalog.fits import Verdict
from stillhouse.planner.claim_text import Claim
from stillhouse.planner.findings import Answer, Finding
from stillhouse.planner.parts import Part
from stillhouse.planner.placement import Placement, place
from stillhouse.planner.speed import speed
from stillhouse.planner.targets import target_of
from stillhouse.planner.weights import Weights, predicted_weights, quantizations_of
from stillhouse.planner.workload import Workload
from stillhouse.units import format_bytes

SHORT_TOKENS = 4096
LONG_TOKENS = 32768
_STEP_TOKENS = 256


def check_fit(claim: Claim, weights: Weights, system: System, claimed: Verdict) -> Finding:
    """Whether `weights` fit as claimed."""
    target = target_of(system)
    if weights.is_folder:
        target = replace(target, engine="vllm")

    def workload_at(context_tokens: int) -> Workload:
        return Workload.of(users=claim.users, context_tokens=context_tokens)

    def at(context_tokens: int) -> Placement:
        return place(weights, workload_at(context_tokens), target, "f16")

    longest = claim.model.context_tokens
    contexts = [min(SHORT_TOKENS, longest), min(LONG_TOKENS, longest)]
    if claim.context_tokens is not None:
        contexts = [claim.context_tokens]
    placements = {context: at(context) for context in contexts}
    reasons = [f"{context:,} tokens{_each(claim)}: {p.reason}" for context, p in placements.items()]
    ways_out: list[str] = []
    verdicts = {placement.verdict for placement in placements.values()}
    first, last = placements[contexts[0]], placements[contexts[-1]]
    verdict: Answer = "depends" if len(verdicts) > 1 else first.verdict
    name = _name(system)
    what = f"{weights.title} {weights.quantization}"
    if verdict == "depends":
        headline = f"depends on the context: {what} on {name} {_up_to(at, longest)}"
    else:
        words = {"fits": "fits", "marginal": "fits barely", "does_not_fit": "does not fit"}
        headline = f"{words[verdict]}: {what} on {name}: {first.reason}"
        if claim.context_tokens is None and verdict != "does_not_fit":
            headline += f" at {contexts[0]:,} tokens, {_up_to(at, longest)}"
    if first.verdict == "does_not_fit":
        runs = longest_that(at, contexts[0], "fits", "marginal")
        reasons += [f"it does up to {runs:,} tokens"] if runs else []
        reasons += _offloaded(weights, workload_at(contexts[0]), system)
        ways_out = _ways_out(claim, system, first, claimed)
        headline = "; ".join([headline, *ways_out])
    may_hold = bool(ways_out) or _may_hold(claimed, first.verdict, last.verdict)
    if not may_hold and claimed != "fits":
        headline = f"untrue: {headline}"
    return Finding(
        verdict,
        may_hold,
        headline,
        (*reasons, *_formula(first.tree)),
        first,
    )


def check_need(claim: Claim, weights: Weights, needs_bytes: int) -> Finding:
    """Whether so much memory is enough, and whether less would do."""
    said = f"{needs_bytes / GIB:g} GB"
    system = System(unnamed_device(needs_bytes / GIB, 1e-6), 1, needs_bytes, None, None)
    fitted = check_fit(claim, weights, system, "fits")
    reasons: tuple[str, ...] = ()
    if needs_bytes < weights.file_bytes:
        reasons = (
            f"{said} is below the file itself, {format_bytes(weights.file_bytes)}"
            f" ({weights.source})",
        )
    elif fitted.placement and needs_bytes > 1.5 * fitted.placement.worst_bytes:
        reasons = (f"{format_bytes(fitted.placement.worst_bytes)} would do for a short context",)
    return replace(
        fitted,
        headline=fitted.headline.replace(f"on {_name(system)}", f"in {said}"),
        reasons=(*reasons, *fitted.reasons),
    )


def longest_that(at: Callable[[int], Placement], longest: int, *verdicts: Verdict) -> int:
    """The largest context, in steps of 256, with one of these verdicts; 0 where none has."""
    low, high = 0, longest // _STEP_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if at(middle * _STEP_TOKENS).verdict in verdicts:
            low = middle
        else:
            high = middle - 1
    return low * _STEP_TOKENS


def _up_to(at: Callable[[int], Placement], longest: int) -> str:
    comfortable = longest_that(at, longest, "fits")
    runs = longest_that(at, longest, "fits", "marginal")
    if comfortable == runs:
        return f"fits up to {runs:,} tokens"
    if not comfortable:
        return f"fits barely up to {runs:,} tokens"
    return f"fits up to {comfortable:,} tokens, barely up to {runs:,}"


def _may_hold(claimed: Verdict, short: Verdict, long: Verdict) -> bool:
    """A claim without a context holds if it does at either; "marginal" needs some doubt.

    A device that is nearly full may be too small: it depends on what else runs there.
    """
    if claimed == "does_not_fit":
        return long != "fits"
    if claimed == "fits":
        return short != "does_not_fit"
    return short != "does_not_fit" and (short, long) != ("fits", "fits")


def _ways_out(claim: Claim, system: System, placed: Placement, claimed: Verdict) -> list[str]:
    """In which sense a claim that it runs is true all the same."""
    if claimed == "does_not_fit":
        return []
    lines = []
    if system.usable_memory_reason and placed.worst_bytes < 0.95 * system.memory_bytes:
        lines.append(
            f"but {system.usable_memory_reason}: then it would take"
            f" {format_bytes(placed.worst_bytes)} of {format_bytes(system.memory_bytes)}"
        )
    other = None if claim.was_quantization_said else quantization_that_fits(claim, system)
    if other is not None:
        lines.append(
            f"but {other.quantization}, {format_bytes(other.file_bytes)}, fits, and the claim does"
            " not say which it means"
        )
    if system.device.vendor == "cpu" and claimed == "marginal":
        short = placed.worst_bytes - system.total_memory_bytes
        lines.append(
            f"but llama.cpp runs it all the same, with {format_bytes(short)} read from the disk"
            " again and again: seconds a token"
        )
    return lines


def _offloaded(weights: Weights, workload: Workload, system: System) -> list[str]:
    """What moving layers or experts gives, where there is main memory beside the device."""
    if system.device.shares_memory or system.ram_bytes is not None or weights.is_folder:
        return []
    target = target_of(system, ram_bytes=2 * weights.total_bytes)
    placed = place(weights, workload, target, "f16")
    if placed.verdict == "does_not_fit" or target.read_bytes_per_s < 1e9:
        return []
    pace = speed(weights, workload, target, "f16", ram_share=placed.ram_share)
    return [
        f"with enough main memory beside it, {placed.reason}; {pace.decode_tokens_per_s:.2g} tok/s"
        " are predicted then"
    ]


def quantization_that_fits(claim: Claim, system: System) -> Weights | None:
    """The largest published one that fits at a short context."""
    workload = Workload.of(users=claim.users, context_tokens=claim.context_tokens or SHORT_TOKENS)
    for name in quantizations_of(claim.model):
        weights = predicted_weights(claim.model, name)
        if place(weights, workload, target_of(system), "f16").verdict != "does_not_fit":
            return weights
    return None


def _formula(tree: Part) -> list[str]:
    return [f"{part.name}: {format_bytes(part.num_bytes)}, {part.how}" for part in tree.parts]


def _each(claim: Claim) -> str:
    return f" for each of {claim.users} users" if claim.users > 1 else ""


def _name(system: System) -> str:
    if system.device.vendor == "unknown":
        return f"{system.memory_bytes / GIB:g} GB"
    return system.name
