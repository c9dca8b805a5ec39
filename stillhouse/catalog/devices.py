"""What a model can run on: devices as they are sold, and systems as people name them.

The facts, each with its source, are in ``devices.toml``. A maker's "24 GB" of memory are 24 GiB;
bandwidth is always computed from the width of the bus and the rate of a pin.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

GIB = 1 << 30

Vendor = Literal["nvidia", "amd", "intel", "apple", "cpu", "unknown"]
# Devices of one segment reach about the same part of their bandwidth with the same engine.
Segment = Literal[
    "consumer",  # graphics cards
    "laptop",
    "workstation",
    "datacenter",
    "unified",  # a GPU that shares the memory of its processor, other than Apple's
    "apple",
    "desktop",  # processors, as the two below are memory platforms rather than one chip
    "server",
    "unknown",  # named by its figures alone
]
Units = Literal["matrix", "vector", "fp32"]

# What macOS lets the GPU wire unless `iogpu.wired_limit_mb` is raised, as llama.cpp's logs print it
# (`recommendedMaxWorkingSetSize`): 11453 of 17180 MB and 22906 of 34360 MB are two thirds, 28991 of
# 38655 MB three quarters. Newer versions of macOS allow more: 78 % were seen of 32 and of 48 GiB,
# 84 % of 128 GiB (https://github.com/antirez/ds4/pull/893). The smaller figures hold everywhere.
_APPLE_SMALL_GIB = 32
_APPLE_SMALL_PART = 2 / 3
_APPLE_LARGE_PART = 3 / 4


@dataclass(frozen=True, slots=True)
class Device:
    """One product, or one memory platform of processors; figures are of one of them."""

    name: str
    aliases: tuple[str, ...]
    shared_aliases: tuple[str, ...]  # names that could mean another device too
    vendor: Vendor
    segment: Segment
    memory_gib: tuple[float, ...]  # the sizes sold, smallest first; usual ones where any will do
    any_memory_size: bool
    bus_bits: int
    rate_gbps: float  # of one pin
    published_gb_per_s: float | None  # as the maker rounds it
    fp16_tflops: float | None  # dense
    fp16_units: Units | None  # matrix: FP32 accumulate; fp32: no faster FP16 is published
    int8_tops: float | None  # dense
    power_w: int | None
    price_usd: int | None
    price_source: str | None
    rental_usd_per_h: float | None
    rental_source: str | None
    note: str | None
    source: str

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """From bus and pins: peak, of which kernels reach a part."""
        return self.bus_bits * self.rate_gbps * 1e9 / 8

    @property
    def names(self) -> tuple[str, ...]:
        """Everything this device may be called, its own name first."""
        return (self.name, *self.aliases, *self.shared_aliases)

    @property
    def shares_memory(self) -> bool:
        """Whether its memory is the machine's main memory too."""
        return self.vendor == "cpu" or self.segment in ("apple", "unified")


@dataclass(frozen=True, slots=True)
class System:
    """What a user names: equal devices, the memory of each, and main memory where it was said."""

    device: Device
    count: int
    memory_bytes: int  # of one device
    ram_bytes: int | None  # beside the devices' own; None where not said, or where it is the same
    note: str | None  # what a name with more than one meaning was taken for

    @property
    def name(self) -> str:
        """``2x RTX 3090 24GB``; finds the same system again, unless it was named by figures."""
        memory = f"{self.memory_bytes / GIB:g}GB"
        if self.device.any_memory_size:
            memory = f"{self.memory_bytes * self.count / GIB:g}GB"
        name = self.device.name.removesuffix(f" {memory}")
        return f"{self.count}x {name} {memory}" if self.count > 1 else f"{name} {memory}"

    @property
    def usable_memory_bytes(self) -> int:
        """What the weights, the KV cache and buffers may take of one device's memory by default."""
        if self.device.segment != "apple":
            return self.memory_bytes
        small = self.memory_bytes <= _APPLE_SMALL_GIB * GIB
        return int(self.memory_bytes * (_APPLE_SMALL_PART if small else _APPLE_LARGE_PART))

    @property
    def usable_memory_reason(self) -> str | None:
        """Why less than the whole memory is usable, in one line; None where it is not."""
        if self.device.segment != "apple":
            return None
        part = "two thirds" if self.memory_bytes <= _APPLE_SMALL_GIB * GIB else "three quarters"
        return (
            f"macOS lets the GPU wire about {part} of the memory; "
            "'sudo sysctl iogpu.wired_limit_mb=N' raises that"
        )

    @property
    def total_memory_bytes(self) -> int:
        return self.memory_bytes * self.count


@dataclass(frozen=True, slots=True)
class WholeSystem:
    """A machine that is sold whole: a name for a number of devices."""

    name: str
    aliases: tuple[str, ...]
    device: Device
    count: int
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class NotAProduct:
    """A name that goes round without anything that could be bought, and what there is instead."""

    names: tuple[str, ...]
    reason: str
    hint: str
    source: str


@cache
def known_devices() -> tuple[Device, ...]:
    """Every device of the catalogue, in the order of the file."""
    document = _document()
    texts = document["source_texts"]
    loaded = tuple(_device(entry, texts) for entry in document["device"])
    assert len({device.name for device in loaded}) == len(loaded), "two devices of one name"
    return loaded


@cache
def whole_systems() -> tuple[WholeSystem, ...]:
    """The machines that have a name of their own."""
    by_name = {device.name: device for device in known_devices()}
    return tuple(
        WholeSystem(
            name=entry["name"],
            aliases=tuple(entry.get("aliases", ())),
            device=by_name[entry["device"]],
            count=entry["count"],
            source=entry["source"],
        )
        for entry in _document()["system"]
    )


@cache
def not_products() -> tuple[NotAProduct, ...]:
    """Names that the lookup refuses with a reason."""
    return tuple(
        NotAProduct(tuple(entry["names"]), entry["reason"], entry["hint"], entry["source"])
        for entry in _document()["not_a_product"]
    )


def unnamed_device(
    memory_gib: float, gb_per_s: float, *, fp16_tflops: float | None = None
) -> Device:
    """A device that is known by its figures alone: one byte wide, at the bandwidth given."""
    return Device(
        name=f"{gb_per_s:g}GB/s",
        aliases=(),
        shared_aliases=(),
        vendor="unknown",
        segment="unknown",
        memory_gib=(memory_gib,),
        any_memory_size=False,
        bus_bits=8,
        rate_gbps=gb_per_s,
        published_gb_per_s=None,
        fp16_tflops=fp16_tflops,
        fp16_units=None if fp16_tflops is None else "matrix",
        int8_tops=None,
        power_w=None,
        price_usd=None,
        price_source=None,
        rental_usd_per_h=None,
        rental_source=None,
        note=None,
        source="figures as given",
    )


@cache
def _document() -> dict[str, Any]:
    text = files(__package__).joinpath("devices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _device(entry: Mapping[str, Any], texts: Mapping[str, str]) -> Device:
    rental = entry.get("rental_source")
    device = Device(
        name=entry["name"],
        aliases=tuple(entry.get("aliases", ())),
        shared_aliases=tuple(entry.get("shared_aliases", ())),
        vendor=entry["vendor"],
        segment=entry["segment"],
        memory_gib=tuple(entry["memory_gib"]),
        any_memory_size=entry.get("any_memory_size", False),
        bus_bits=entry["bus_bits"],
        rate_gbps=entry["rate_gbps"],
        published_gb_per_s=entry.get("published_gb_per_s"),
        fp16_tflops=entry.get("fp16_tflops"),
        fp16_units=entry.get("fp16_units"),
        int8_tops=entry.get("int8_tops"),
        power_w=entry.get("power_w"),
        price_usd=entry.get("price_usd"),
        price_source=entry.get("price_source"),
        rental_usd_per_h=entry.get("rental_usd_per_h"),
        rental_source=None if rental is None else texts[rental],
        note=entry.get("note"),
        source="; ".join(texts[key] for key in entry["sources"]),
    )
    assert device.vendor in get_args(Vendor), device.name
    assert device.segment in get_args(Segment), device.name
    assert device.fp16_units is None or device.fp16_units in get_args(Units), device.name
    return device
