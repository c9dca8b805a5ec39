"""What one part of a claim came to: a speed, a time, a memory or a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stillhouse.planner.placement import Placement

Answer = Literal["possible", "impossible", "fits", "marginal", "does_not_fit", "depends"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`is_possible`: it may be true, in some reading of it. Rates are of all users together."""

    verdict: Answer
    is_possible: bool
    headline: str  # one line, with the numbers
    reasons: tuple[str, ...]  # each step of the arithmetic
    placement: Placement | None = None
    predicted_tokens_per_s: float | None = None
    limit_tokens_per_s: float | None = None
