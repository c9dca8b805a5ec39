"""Where a model would run: a system of the catalogue, or this machine, with an engine on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from stillhouse.catalog import System

Engine = Literal["stillhouse", "llama.cpp", "vllm"]
"""This project's own on processors; llama.cpp for GGUF files and vLLM for folders on GPUs."""


@dataclass(frozen=True, slots=True)
class Target:
    """One or several equal devices that share a model's layers, and main memory beside them.

    `memory_bytes` is what one device can give; `ram_bytes` is main memory that layers or experts
    may be moved to, None where there is none or where it is the same. Speeds are of one device:
    `read_bytes_per_s` its memory's peak, or what was measured here; `operations_per_s` in the
    numbers that its engine multiplies, None where nobody says. `kind` chooses efficiencies.
    """

    name: str
    engine: Engine
    kind: str
    count: int
    memory_bytes: int
    memory_note: str | None
    ram_bytes: int | None
    read_bytes_per_s: float
    operations_per_s: float | None
    ram_bytes_per_s: float | None = None
    is_measured: bool = False
    power_w: float | None = None
    rental_usd_per_h: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        return self.count * self.memory_bytes

    @property
    def is_processor(self) -> bool:
        """Whether weights are read from main memory by a processor."""
        return self.kind in ("desktop", "server", "this machine")

    def as_json(self) -> dict[str, Any]:
        """What a plan depends on, by the names of the fields."""
        fields = asdict(self)
        return {name: fields[name] for name in _JSON_NAMES} | {"notes": list(self.notes)}


# DDR5-5600 in two channels: what a machine with a card in it usually has, where nobody says.
USUAL_RAM_BYTES_PER_S = 89.6e9
_TERA = 1e12
_JSON_NAMES = (
    "name",
    "engine",
    "count",
    "memory_bytes",
    "memory_note",
    "ram_bytes",
    "read_bytes_per_s",
    "operations_per_s",
    "is_measured",
)


def target_of(system: System, *, ram_bytes: int | None = None) -> Target:
    """A system of the catalogue, with the engine that people run there."""
    device = system.device
    is_processor = device.vendor == "cpu"
    sockets = system.count if is_processor else 1  # read and multiply together, on shared memory
    ram = ram_bytes if ram_bytes is not None else system.ram_bytes
    if device.shares_memory:
        ram = None
    return Target(
        name=system.name,
        engine="llama.cpp",
        kind="desktop" if is_processor and device.segment == "laptop" else device.segment,
        count=1 if is_processor else system.count,
        memory_bytes=sockets * system.usable_memory_bytes,
        memory_note=system.usable_memory_reason,
        ram_bytes=ram,
        read_bytes_per_s=sockets * device.bandwidth_bytes_per_s,
        operations_per_s=(
            None if device.fp16_tflops is None else sockets * device.fp16_tflops * _TERA
        ),
        ram_bytes_per_s=None if ram is None else USUAL_RAM_BYTES_PER_S,
        power_w=None if device.power_w is None else float(device.power_w * system.count),
        rental_usd_per_h=(
            None if device.rental_usd_per_h is None else device.rental_usd_per_h * system.count
        ),
        notes=() if system.note is None else (system.note,),
    )
