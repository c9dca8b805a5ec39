"""What part of a device's peaks an engine reaches: fitted to published and to measured runs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Of one kind of device with one engine. Shares are of the peaks, from 0 to 1.

    Attributes:
        read_share: of the memory's bandwidth, in decoding.
        unpack_share: of the arithmetic peak, for two operations a weight and step that take codes
            apart; None where that is not seen apart from the products.
        batch_share: of the arithmetic peak, for the products of decoding.
        prefill_share: the same for a prompt's.
        attend_share, attend_prefill_share: for attention, where it is counted apart.
        step_s: of every step; row_s: for every user besides; prefill_row_s: for a prompt's token.
    """

    kind: str
    engine: str
    read_share: float
    batch_share: float
    prefill_share: float
    step_s: float
    source: str
    unpack_share: float | None = None
    attend_share: float | None = None
    attend_prefill_share: float | None = None
    row_s: float = 0.0
    prefill_row_s: float = 0.0


@cache
def efficiencies() -> tuple[Efficiency, ...]:
    """Every entry, in the order of the file."""
    text = files(__package__).joinpath("efficiencies.toml").read_text(encoding="utf-8")
    return tuple(Efficiency(**entry) for entry in tomllib.loads(text)["efficiency"])


@cache
def efficiency_for(kind: str, engine: str) -> Efficiency:
    """The entry of this kind and engine, or the one that stands for kinds without runs."""
    entries = {(entry.kind, entry.engine): entry for entry in efficiencies()}
    return entries.get((kind, engine)) or entries["unknown", engine]
