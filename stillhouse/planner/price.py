"""What a thousand answers cost: electricity, or rent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stillhouse.planner.speed import Speed
from stillhouse.planner.targets import Target
from stillhouse.planner.workload import Workload

USD_PER_KWH = 0.30
_ANSWERS = 1000


@dataclass(frozen=True, slots=True)
class Price:
    """Of 1,000 answers, in US dollars; None where the power or the rent is not known."""

    electricity_usd: float | None
    rental_usd: float | None
    how: str

    def as_json(self) -> dict[str, Any]:
        return {
            "electricity_usd_per_1000": _rounded(self.electricity_usd),
            "rental_usd_per_1000": _rounded(self.rental_usd),
            "how": self.how,
        }

    @property
    def least_usd(self) -> float | None:
        """The cheaper of the two that are known."""
        known = [p for p in (self.electricity_usd, self.rental_usd) if p is not None]
        return min(known, default=None)


def price_of(speed: Speed, workload: Workload, target: Target, usd_per_kwh: float) -> Price:
    """All users keep the system busy; it draws its full power while it does."""
    hours = _ANSWERS / workload.users * speed.whole_answer_s / 3600
    electricity = None
    parts = [f"{hours:.3g} h"]
    if target.power_w is not None:
        electricity = hours * target.power_w / 1000 * usd_per_kwh
        parts.append(f"x {target.power_w:g} W x ${usd_per_kwh:g} a kWh")
    rental = None
    if target.rental_usd_per_h is not None:
        rental = hours * target.rental_usd_per_h
        parts.append(f"or x ${target.rental_usd_per_h:g} an hour")
    return Price(electricity, rental, " ".join(parts))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
