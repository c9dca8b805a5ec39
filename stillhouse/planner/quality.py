"""How good an answer may be expected to be: published scores times published recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stillhouse.catalog import Model, recovery_for


@dataclass(frozen=True, slots=True)
class Quality:
    """Expected pass@1 in percent, from figures that others published; None where nobody has."""

    aime_2024: float | None
    math_500: float | None
    recovery_percent: float | None
    is_of_this_size: bool  # the recovery was measured on models of about this size
    source: str

    def as_json(self) -> dict[str, Any]:
        """Scores from 0 to 1, with where they are from."""
        return {
            "aime_2024": _share(self.aime_2024),
            "math_500": _share(self.math_500),
            "recovery": _share(self.recovery_percent),
            "recovery_of_this_size": self.is_of_this_size,
            "source": self.source,
        }

    @property
    def rank(self) -> float:
        """For comparing: AIME, the one benchmark that the whole family has; -1 is unknown."""
        return -1.0 if self.aime_2024 is None else self.aime_2024


def quality_of(model: Model, quantization: str) -> Quality:
    """Of a model in a quantisation. Unquantised, its makers' own scores."""
    scores = model.scores
    recovery = recovery_for(quantization, model.parameters)
    if quantization.upper() in ("BF16", "F16", "F32"):
        part: float | None = 100.0
        covers, note = True, "as published, unquantised"
    elif recovery is None:
        part, covers = None, False
        note = f"nobody has published what {quantization} costs"
    else:
        part, covers = recovery.percent, recovery.covers(model.parameters)
        least = "at least " if recovery.is_least else ""
        note = f"published scores x {least}{recovery.percent:g} % ({recovery.source})"
        if not covers:
            note += f"; measured on {recovery.measured_on}, not on this size"
    if scores is None:
        return Quality(None, None, part, covers, "no reasoning score is published")
    return Quality(
        _times(scores.aime_2024, part), _times(scores.math_500, part), part, covers, note
    )


def _times(score: float | None, percent: float | None) -> float | None:
    return None if score is None or percent is None else score * percent / 100


def _share(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 4)
