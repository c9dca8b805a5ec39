"""Claims of fitting and of sizes: sourced, of known models, and honest about what is nominal."""

from __future__ import annotations

import pytest

from stillhouse import catalog
from stillhouse.catalog.fits import FitClaim, SizeClaim, fit_claims, size_claims

_each_fit = pytest.mark.parametrize("claim", fit_claims(), ids=lambda claim: claim.claim)
_each_size = pytest.mark.parametrize(
    "claim", size_claims(), ids=lambda claim: f"{claim.model} {claim.quantization} {claim.how}"
)


def _model(name: str) -> catalog.Model:
    return next(model for model in catalog.models() if model.name == name)


@_each_fit
def test_every_claim_has_a_source_and_a_model(claim: FitClaim) -> None:
    assert claim.source
    assert claim.claim
    assert _model(claim.model)


@_each_fit
def test_every_claim_is_of_a_device_or_memory(claim: FitClaim) -> None:
    if claim.device is not None:
        assert catalog.find_device(claim.device).memory_bytes > 0
    else:
        assert claim.memory_gib is not None
        assert claim.memory_gib > 0


@_each_size
def test_every_size_has_a_source_and_is_near_the_real_file(claim: SizeClaim) -> None:
    assert claim.source
    model = _model(claim.model)
    listed = [
        part.sizes_bytes[name]
        for part in model.files
        for name in part.sizes_bytes
        if name.removeprefix("UD-") == claim.quantization.removeprefix("UD-")
    ]
    for size_bytes in listed:
        ratio = claim.size_bytes / size_bytes
        assert ratio < 1 if claim.how == "nominal" else 0.93 < ratio < 1.07, size_bytes


def test_one_device_gets_two_verdicts_from_two_guides() -> None:
    verdicts = {
        claim.verdict
        for claim in fit_claims()
        if (claim.device, claim.model) == ("RTX 3060 12GB", "r1-distill-qwen-14b")
    }
    assert verdicts == {"fits", "marginal"}
