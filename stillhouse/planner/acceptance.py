"""What others published beside what is predicted here: fits, speeds and sizes, row by row.

No claim is passed over: it agrees, or the numbers that contradict it are its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

from stillhouse.catalog import FitClaim, SizeClaim, System, find_device, models
from stillhouse.catalog.devices import GIB, unnamed_device
from stillhouse.catalog.fits import fit_claims, size_claims
from stillhouse.planner.claim_fits import check_fit
from stillhouse.planner.claim_text import Claim
from stillhouse.planner.findings import Finding
from stillhouse.planner.published import PublishedRun, predicted_tokens_per_s, published_runs
from stillhouse.planner.weights import predicted_weights

Agreement = Literal["agrees", "agrees in part", "contradicts"]

_SAME_SIZE = 0.07  # of a size that a guide rounds to two digits


@dataclass(frozen=True, slots=True)
class FitRow:
    """A claim that a model fits, and what arithmetic says of it."""

    claim: FitClaim
    where: str
    finding: Finding
    agreement: Agreement
    reason: str


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """A published speed; the error is of the prediction, as a part of what was published."""

    run: PublishedRun
    predicted_tokens_per_s: float

    @property
    def error(self) -> float:
        return self.predicted_tokens_per_s / self.run.tokens_per_s - 1


@dataclass(frozen=True, slots=True)
class SizeRow:
    """A stated size of a file and the predicted one, both in bytes."""

    claim: SizeClaim
    predicted_bytes: int
    is_same: bool
    remark: str

    @property
    def difference(self) -> float:
        """Of the stated size, as a part of the predicted one."""
        return self.claim.size_bytes / self.predicted_bytes - 1


def fit_rows() -> list[FitRow]:
    """Every claim of fitting in the catalogue, in its order."""
    return [_fit_row(claim) for claim in fit_claims()]


def speed_rows() -> list[SpeedRow]:
    """Every published speed, in the catalogue's order."""
    return [SpeedRow(run, predicted_tokens_per_s(run)) for run in published_runs()]


def median_error(rows: list[SpeedRow]) -> tuple[float, int]:
    """Of the absolute errors of possible, measured runs; and how many those are."""
    errors = [abs(row.error) for row in rows if row.run.counts]
    return median(errors), len(errors)


def size_rows() -> list[SizeRow]:
    """Every claim of a file's size, in the catalogue's order."""
    return [_size_row(claim) for claim in size_claims()]


def _fit_row(row: FitClaim) -> FitRow:
    model = next(one for one in models() if one.name == row.model)
    system, where = _system(row)
    claim = Claim(
        text=row.claim,
        model=model,
        quantization=row.quantization or model.default_quantization,
        system=system,
        context_tokens=row.context_tokens,
        fit=row.verdict,
        was_quantization_said=row.quantization is not None,
    )
    finding = check_fit(claim, predicted_weights(model, claim.quantization), system, row.verdict)
    agreement: Agreement = "agrees" if finding.verdict == row.verdict else "agrees in part"
    more: list[str] = []
    if not finding.is_possible:
        agreement = "contradicts"
        more = [line for line in finding.reasons if line.startswith(("it does", "with enough"))]
    return FitRow(row, where, finding, agreement, "; ".join([finding.headline, *more]))


def _system(row: FitClaim) -> tuple[System, str]:
    if row.device is not None:
        return find_device(row.device), row.device
    assert row.memory_gib is not None
    where = f"{row.memory_gib:g} GB of {'RAM' if row.memory_kind == 'ram' else 'graphics memory'}"
    if row.memory_kind == "ram":
        return find_device(f"CPU {row.memory_gib:g}GB"), where
    device = unnamed_device(row.memory_gib, 1e-6)
    return System(device, 1, int(row.memory_gib * GIB), None, None), where


def _size_row(claim: SizeClaim) -> SizeRow:
    model = next(one for one in models() if one.name == claim.model)
    size = predicted_weights(model, claim.quantization).file_bytes
    difference = claim.size_bytes / size - 1
    if claim.how == "nominal":
        remark = "nominal, bits x parameters: below any real file, which has its embeddings in full"
        return SizeRow(claim, size, False, remark)
    in_gib = claim.size_bytes / 1e9 * GIB / size - 1
    if abs(in_gib) < 0.01 < abs(difference):
        return SizeRow(claim, size, True, "the same in binary gigabytes")
    is_same = abs(difference) <= _SAME_SIZE
    remark = "the same, as rounded" if is_same else "another size than any file of these shapes"
    return SizeRow(claim, size, is_same, remark)
