"""How fast models were said to run on devices: measured, estimated or merely claimed.

A row says what was published, not what is possible: some claims exceed what the memory of the
device can deliver, and are here so that a check by arithmetic can find them. ``speeds.toml`` has
the rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Speed:
    """One published figure, or range of figures, of decoding."""

    device: str  # as find_device takes it
    device_as_published: str | None  # where that is said differently
    model: str  # a name of the catalogue, or free text beside ``weights_bytes``
    quantization: str
    users: int  # streams at the same time
    tokens_per_s_low: float  # of all users together
    tokens_per_s_high: float
    ttft_ms: float | None
    prefill_tokens_per_s: float | None
    weights_bytes: int | None  # of the whole file that was run, where the run says
    tool: str | None
    is_estimate: bool  # computed by its publisher, not measured
    note: str | None
    source: str

    @property
    def tokens_per_s(self) -> float:
        """The middle of the range."""
        return (self.tokens_per_s_low + self.tokens_per_s_high) / 2


@cache
def published_speeds() -> tuple[Speed, ...]:
    """Every row, in the order of the file: claims of guides first, then measured runs."""
    text = files(__package__).joinpath("speeds.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return tuple(_speed(entry, document["source_texts"]) for entry in document["speed"])


def _speed(entry: Mapping[str, Any], texts: Mapping[str, str]) -> Speed:
    low, high = entry["tokens_per_s"]
    return Speed(
        device=entry["device"],
        device_as_published=entry.get("device_as_published"),
        model=entry["model"],
        quantization=entry["quantization"],
        users=entry.get("users", 1),
        tokens_per_s_low=low,
        tokens_per_s_high=high,
        ttft_ms=entry.get("ttft_ms"),
        prefill_tokens_per_s=entry.get("prefill_tokens_per_s"),
        weights_bytes=entry.get("weights_bytes"),
        tool=entry.get("tool"),
        is_estimate=entry.get("is_estimate", False),
        note=entry.get("note"),
        source=texts[entry["source"]],
    )
