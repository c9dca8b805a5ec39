"""A promise to every user, in seconds, and whether a request kept it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields

from stillhouse.bench.records import RequestRecord
from stillhouse.errors import UsageError

# A reader who is let wait some seconds and then reads five tokens a second.
DEFAULT = "ttft:5s,tpot:200ms"

_PART = re.compile(r"(ttft|ttfat|tpot|e2e):([0-9]+(?:\.[0-9]+)?)(ms|s|)")


@dataclass(frozen=True, slots=True)
class Slo:
    """Upper limits; None promises nothing."""

    ttft_s: float | None = None
    ttfat_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None

    @classmethod
    def parse(cls, text: str) -> Slo:
        """`ttft:2s,tpot:100ms`; a bare number is milliseconds. Raises UsageError."""
        limits: dict[str, float] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None or f"{match[1]}_s" in limits:
                raise UsageError(
                    f"'{part}' is no promise", hint="write them as ttft:2s,ttfat:20s,tpot:100ms"
                )
            limits[f"{match[1]}_s"] = float(match[2]) / (1 if match[3] == "s" else 1000)
        return cls(**limits)

    def is_kept(self, record: RequestRecord) -> bool:
        """By one request; without an answer it broke a promise about the answer."""
        if record.error is not None:
            return False
        for limit in fields(self):
            most, taken = getattr(self, limit.name), getattr(record, limit.name)
            if most is None:
                continue
            if taken is None and limit.name != "tpot_s":  # a single token has no time between two
                return False
            if taken is not None and taken > most:
                return False
        return True

    def as_json(self) -> dict[str, float]:
        """Only what is promised."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def __str__(self) -> str:
        named = (f"{name.removesuffix('_s')} ≤ {s:g} s" for name, s in self.as_json().items())
        return ", ".join(named)
