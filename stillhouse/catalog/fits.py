"""What was said to fit into which memory, and how large files were said to be.

The rows of ``fits.toml`` are claims, contradictions and mistakes included: a plan is compared with
them, and says which of them cannot hold.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Verdict = Literal["fits", "marginal", "does_not_fit"]
MemoryKind = Literal["vram", "ram"]
# As a listing shows it, as a guide rounds it, or bits × parameters, below any real file.
SizeKind = Literal["download", "rounded", "nominal"]


@dataclass(frozen=True, slots=True)
class FitClaim:
    """One statement that a model fits, fits barely, or does not."""

    model: str  # a name of the catalogue
    quantization: str | None  # None, as the tokens of context: the claim does not say
    device: str | None  # as find_device takes it; else there is a bare memory size
    memory_gib: float | None
    memory_kind: MemoryKind | None
    context_tokens: int | None
    verdict: Verdict
    claim: str
    source: str


@dataclass(frozen=True, slots=True)
class SizeClaim:
    """One statement of how many bytes a quantised model has."""

    model: str
    quantization: str
    size_bytes: int
    how: SizeKind
    source: str


@cache
def fit_claims() -> tuple[FitClaim, ...]:
    """Every claim of fitting, in the order of the file."""
    document = _document()
    return tuple(_fit(entry, document["source_texts"]) for entry in document["fit"])


@cache
def size_claims() -> tuple[SizeClaim, ...]:
    """Every claim of a file's size, in the order of the file."""
    document = _document()
    loaded = tuple(
        SizeClaim(
            model=entry["model"],
            quantization=entry["quantization"],
            size_bytes=round(entry["size_bytes"]),
            how=entry["how"],
            source=document["source_texts"][entry["source"]],
        )
        for entry in document["size"]
    )
    assert {claim.how for claim in loaded} <= set(get_args(SizeKind))
    return loaded


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("fits.toml").read_text(encoding="utf-8"))


def _fit(entry: Mapping[str, Any], texts: Mapping[str, str]) -> FitClaim:
    claim = FitClaim(
        model=entry["model"],
        quantization=entry.get("quantization"),
        device=entry.get("device"),
        memory_gib=entry.get("memory_gib"),
        memory_kind=entry.get("memory_kind"),
        context_tokens=entry.get("context_tokens"),
        verdict=entry["verdict"],
        claim=entry["claim"],
        source=texts[entry["source"]],
    )
    assert claim.verdict in get_args(Verdict), claim.claim
    assert (claim.memory_kind is None) == (claim.memory_gib is None), claim.claim
    assert (claim.device is None) != (claim.memory_gib is None), claim.claim
    return claim
