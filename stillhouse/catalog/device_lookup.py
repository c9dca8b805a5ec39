"""From a system as people write it to the devices and memory that are meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from stillhouse.catalog.device_text import DeviceText, parse_device_text
from stillhouse.catalog.devices import (
    GIB,
    Device,
    System,
    WholeSystem,
    known_devices,
    not_products,
    unnamed_device,
    whole_systems,
)
from stillhouse.errors import UsageError

_LARGEST_GIB = 64 * 1024  # of any machine that is meant seriously


def find_device(text: str, *, largest: bool = False) -> System:
    """The system that ``text`` names: ``4090``, ``2x RTX 3090``, ``M4 Max 48GB``, ``DGX H100``.

    A memory size after the name chooses among variants; with processors it is the whole machine's,
    with anything else one device's. ``24GB 900GB/s 100TFLOPS`` is a device without a name, and
    ``64GB RAM`` main memory beside the device's own. Where several devices or sizes are meant, the
    smallest and slowest is taken, so that what fits it fits the others, and the note says so;
    with `largest` the fastest and largest, so that what it cannot do none of them can.
    Raises UsageError with the closest names, or with the sizes that a device does have.
    """
    asked = parse_device_text(text)
    if not asked.key:
        return _unnamed(asked)
    if asked.gb_per_s is not None or asked.fp16_tflops is not None:
        raise UsageError(
            f"'{asked.shown}' gives figures beside a name",
            hint="leave out the name, as in '24GB 900GB/s', or the figures",
        )
    for never in not_products():
        if asked.key in {_key_of(name) for name in never.names}:
            raise UsageError(never.reason, hint=never.hint)
    for whole in whole_systems():
        if asked.key in {_key_of(name) for name in whole.names}:
            asked = replace(asked, count=asked.count * whole.count)
            return _system(asked, (whole.device,), largest)
    candidates = _by_key().get(asked.key, ())
    if not candidates:
        raise _unknown(asked)
    return _system(asked, candidates, largest)


@cache
def _by_key() -> Mapping[str, tuple[Device, ...]]:
    found: dict[str, list[Device]] = {}
    for device in known_devices():
        for name in device.names:
            same = found.setdefault(_key_of(name), [])
            if device not in same:
                same.append(device)
    return {key: tuple(sharing) for key, sharing in found.items()}


@cache
def _key_of(name: str) -> str:
    return parse_device_text(name).key


def _system(asked: DeviceText, candidates: Iterable[Device], largest: bool) -> System:
    """The smallest, slowest candidate that has the memory asked for; or the largest, fastest."""
    sharing = sorted(candidates, key=lambda one: (one.memory_gib[0], one.bandwidth_bytes_per_s))
    if largest:
        sharing.sort(key=lambda one: (-one.bandwidth_bytes_per_s, -one.memory_gib[-1]))
    asked_gib, ram_gib = asked.memory_gib, asked.ram_gib
    if ram_gib is not None and all(device.shares_memory for device in sharing):
        if asked_gib is not None:
            raise UsageError(
                f"'{asked.shown}' gives two memory sizes",
                hint=f"{sharing[0].name} computes from main memory: give one size",
            )
        asked_gib, ram_gib = ram_gib, None
    for size in (asked_gib, ram_gib):
        _check_size(size, asked)
    fitting = [one for one in sharing if asked_gib is None or _has(one, asked_gib)]
    if not fitting:
        raise _no_such_size(asked, asked_gib, sharing)
    device = fitting[0]
    usual_gib = device.memory_gib[-1 if largest else 0]
    whole_gib = usual_gib if asked_gib is None else asked_gib
    each_gib = whole_gib / asked.count if device.any_memory_size else whole_gib
    return System(
        device=device,
        count=asked.count,
        memory_bytes=int(each_gib * GIB),
        ram_bytes=None if ram_gib is None else int(ram_gib * GIB),
        note=_note(asked, asked_gib, usual_gib, fitting),
    )


def _has(device: Device, memory_gib: float) -> bool:
    return device.any_memory_size or memory_gib in device.memory_gib


def _note(
    asked: DeviceText, asked_gib: float | None, usual_gib: float, fitting: list[Device]
) -> str | None:
    """What was taken where the text allows more than one device or size; None where it does not."""
    device = fitting[0]
    others = ", ".join(f"{one.name} ({_sizes(one)})" for one in fitting[1:])
    meant = f"'{asked.shown}' is taken for {device.name}"
    if asked_gib is not None or (len(device.memory_gib) == 1 and not device.any_memory_size):
        return f"{meant}; it could mean {others}" if others else None
    meant += f" with {usual_gib:g} GB"
    if not device.any_memory_size:
        meant += f", of {_sizes(device)}"
    return f"{meant}; it could mean {others}" if others else meant


def _sizes(device: Device) -> str:
    if device.any_memory_size:
        return "any size"
    *first, last = (f"{size:g}" for size in device.memory_gib)
    return f"{', '.join(first)} or {last} GB" if first else f"{last} GB"


def _no_such_size(asked: DeviceText, asked_gib: float | None, sharing: list[Device]) -> UsageError:
    assert asked_gib is not None
    if len(sharing) == 1:
        name, listed = sharing[0].name, f"it has {_sizes(sharing[0])}"
    else:
        name, listed = f"'{asked.shown}'", "; ".join(f"{o.name}: {_sizes(o)}" for o in sharing)
    return UsageError(f"{name} is not sold with {asked_gib:g} GB", hint=listed)


def _unnamed(asked: DeviceText) -> System:
    memory_gib, ram_gib = asked.memory_gib, asked.ram_gib
    if memory_gib is None:
        memory_gib, ram_gib = ram_gib, None
    if memory_gib is None or asked.gb_per_s is None:
        raise UsageError(
            f"'{asked.shown}' names no device",
            hint="give its name, or memory and bandwidth as in '24GB 900GB/s'",
        )
    for size in (memory_gib, ram_gib):
        _check_size(size, asked)
    if not 0 < asked.gb_per_s <= 1e6:
        raise UsageError(
            f"a bandwidth of {asked.gb_per_s:g} GB/s cannot be meant",
            hint="a desktop's memory has about 60 GB/s, a large GPU's 8000 GB/s",
        )
    device = unnamed_device(memory_gib, asked.gb_per_s, fp16_tflops=asked.fp16_tflops or None)
    ram_bytes = None if ram_gib is None else int(ram_gib * GIB)
    return System(device, asked.count, int(memory_gib * GIB), ram_bytes, None)


def _check_size(size_gib: float | None, asked: DeviceText) -> None:
    if size_gib is not None and not 0.5 <= size_gib <= _LARGEST_GIB:
        raise UsageError(
            f"'{asked.shown}': {size_gib:g} GB of memory cannot be meant",
            hint=f"from 0.5 GB to {_LARGEST_GIB // 1024} TB can be planned for",
        )


def _unknown(asked: DeviceText) -> UsageError:
    close = _close_names(asked)
    return UsageError(
        f"no device is called '{asked.shown}'",
        hint=f"did you mean {', '.join(close)}?"
        if close
        else "name it by its figures instead, as in '24GB 900GB/s'",
    )


def _close_names(asked: DeviceText) -> list[str]:
    """Up to three names: those that share a model's number, are spelled alike, or share a word."""
    names: dict[str, str] = {}  # of each key, the name to offer
    overlaps: list[tuple[int, int, str]] = []
    everything: list[Device | WholeSystem] = [*known_devices(), *whole_systems()]
    for one in everything:
        for name in one.names:
            names.setdefault(_key_of(name), one.name)
        words = parse_device_text(one.name).words
        shared = words & asked.words
        numbers = sum(any(c.isdigit() for c in word) for word in shared if len(word) > 1)
        if any(len(word) > 1 for word in shared):
            overlaps.append((-numbers, len(words ^ asked.words), one.name))
    alike = difflib.get_close_matches(asked.key[:40], names, n=3, cutoff=0.6)
    ranked = sorted(overlaps)
    same_number = [name for numbers, _, name in ranked if numbers]
    close = [*same_number[:2], *(names[key] for key in alike), *(name for *_, name in ranked)]
    return list(dict.fromkeys(close))[:3]
