"""Whether a claim can be true: `still plan --check "70B Q4 on M4 Max: 100 tok/s"`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from stillhouse.catalog import models
from stillhouse.planner.claim_fits import check_fit, check_need
from stillhouse.planner.claim_speeds import check_speed, check_ttft
from stillhouse.planner.claim_text import Claim, parse_claim
from stillhouse.planner.findings import Answer, Finding
from stillhouse.planner.placement import Placement
from stillhouse.planner.targets import target_of
from stillhouse.planner.weights import predicted_weights

__all__ = ["Claim", "Verdict", "check", "contradictions", "parse_claim"]

_MATH_QUESTIONS, _AIME_QUESTIONS = 500, 30 * 64  # AIME: the makers take 64 samples of 30 questions
_QUESTIONS = {"math_500": _MATH_QUESTIONS, "aime_2024": _AIME_QUESTIONS, "gpqa_diamond": 198}
_TITLES = {
    "math_500": "MATH-500",
    "aime_2024": "AIME 2024",
    "gpqa_diamond": "GPQA-Diamond",
    "live_code_bench": "LiveCodeBench",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What arithmetic says of a claim. `is_possible`: it may be true, in some reading of it.

    `verdict` of a claim of memory is ours, whatever was claimed. Rates are of all users together.
    """

    claim: Claim
    verdict: Answer
    is_possible: bool
    headline: str
    reasons: tuple[str, ...]
    predicted_tokens_per_s: float | None = None
    limit_tokens_per_s: float | None = None
    placement: Placement | None = None


def check(claim: Claim) -> Verdict:
    """Everything that the claim says; of several things, the first that cannot be decides."""
    weights = predicted_weights(claim.model, claim.quantization)
    found: list[Finding] = []
    if claim.system is not None:
        target = target_of(claim.system)
        if weights.is_folder:
            target = replace(target, engine="vllm")
        if claim.tokens_per_s_low is not None:
            found.append(check_speed(claim, weights, target))
        if claim.ttft_s is not None:
            found.append(check_ttft(claim, weights, target))
    if claim.fit is not None and claim.system is not None:
        found.append(check_fit(claim, weights, claim.system, claim.fit))
    if claim.needs_bytes is not None:
        found.append(check_need(claim, weights, claim.needs_bytes))
    if claim.score is not None:
        found.append(_check_score(claim, *claim.score))
    assert found, "parse_claim lets nothing through that claims nothing"
    decisive = next((one for one in found if not one.is_possible), found[0])
    speeds = next((one for one in found if one.limit_tokens_per_s is not None), None)
    others = [one for one in found if one is not decisive]
    return Verdict(
        claim,
        decisive.verdict,
        decisive.is_possible,
        decisive.headline,
        (
            *decisive.reasons,
            *(line for one in others for line in (one.headline, *one.reasons)),
            *claim.notes,
        ),
        speeds.predicted_tokens_per_s if speeds else None,
        speeds.limit_tokens_per_s if speeds else None,
        next((one.placement for one in found if one.placement), None),
    )


def contradictions(claims: Sequence[Claim]) -> list[str]:
    """A line for each pair that cannot both be true, and for each score that is not its makers'."""
    lines: list[str] = []
    for one, other in combinations(claims, 2):
        same = (one.model, one.quantization, one.device) == (
            other.model,
            other.quantization,
            other.device,
        )
        if not same:
            continue
        if one.tokens_per_s_low is not None and other.tokens_per_s_low is not None:
            fewer, more = sorted((one, other), key=lambda claim: claim.users)
            lines += _batching(fewer, more)
        differ = one.fit and other.fit and one.fit != other.fit
        if differ and one.context_tokens == other.context_tokens:
            lines.append(f"'{one.text}' and '{other.text}': {check(one).headline}")
    for claim in claims:
        if claim.score is not None:
            scored = _check_score(claim, *claim.score)
            lines += [] if scored.is_possible else [scored.headline]
    return lines


def _batching(fewer: Claim, more: Claim) -> list[str]:
    """A step of more users takes as long at least, so the rate grows as their number at most."""
    assert fewer.tokens_per_s_high is not None
    assert more.tokens_per_s_low is not None
    if fewer.tokens_per_s_high <= 0:
        return []
    users, rate = more.users / fewer.users, more.tokens_per_s_low / fewer.tokens_per_s_high
    if rate <= 1.005 * users:
        return []
    return [
        f"{fewer.users} users {fewer.tokens_per_s_high:g} tok/s and {more.users} users"
        f" {more.tokens_per_s_low:g} of {more.model.title} {more.quantization} on {more.device}"
        f" cannot both be of the same set-up: {users:.3g} times the users cannot give"
        f" {rate:.3g} times the tokens, as a step of more users is never shorter"
    ]


def _check_score(claim: Claim, benchmark: str, percent: float) -> Finding:
    """Against the makers' own, give or take two standard errors of so many questions."""
    title = f"{_TITLES[benchmark]} of {claim.model.title}"
    scores = claim.model.scores
    published = None if scores is None else getattr(scores, benchmark)
    if published is None:
        return Finding("depends", True, f"{title}: its makers publish no score", ())
    questions = _QUESTIONS.get(benchmark, 200)
    share = published / 100
    error = 200 * math.sqrt(max(share * (1 - share), 1 / questions) / questions)
    if abs(percent - published) <= error:
        headline = f"possible: {title} is {published:g} as its makers publish it, {percent:g} here"
        return Finding("possible", True, headline, (f"chance alone makes {error:.1f} of it",))
    others = [
        f"{abs(value):g} is that of {model.title}"
        for model in models()
        if model.name != claim.model.name
        and model.scores is not None
        and (value := getattr(model.scores, benchmark)) is not None
        and abs(value - percent) <= 1
    ]
    tail = f"; {others[0]}" if others else ""
    headline = (
        f"{title}: {percent:g} is claimed, and its makers publish {published:g}: both cannot be of"
        f" one set-up, as chance makes {error:.1f} at the most{tail}"
    )
    assert scores is not None
    return Finding("depends", False, headline, (f"published: {scores.source}",))
