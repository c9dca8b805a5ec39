"""This machine as somewhere to run a model: detected, and its memory measured while one waits."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from stillhouse import paths
from stillhouse.accelerators import Accelerator, accelerators
from stillhouse.catalog import System, find_device
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.hardware import Machine, this_machine
from stillhouse.kernels.isa import Isa, detect
from stillhouse.kernels.memory import allocate
from stillhouse.planner.targets import Target, target_of
from stillhouse.units import format_bytes

_BUFFER_BYTES = 256 << 20  # larger than a share of any last-level cache but the largest
_PASSES = 7

# Operations of int8 products a cycle and core that kernels of a level can make, where nothing was
# measured: dot products of 64 bytes; matrix tiles as docs of the level give them; what three
# instructions make where there are no dot products.
_OPERATIONS_A_CYCLE = {
    Isa.AMX: 2048.0,
    Isa.AVX512_VNNI: 128.0,
    Isa.AVX2: 40.0,
}
_PORTABLE_OPERATIONS_A_CYCLE = 16.0
_CLOCK_HZ = 3.0e9


def this_target(*, ram_bytes: int | None = None) -> Target:
    """The processor of this machine with this engine. `ram_bytes` instead of what is free."""
    machine = this_machine()
    free = machine.available_memory_bytes if ram_bytes is None else ram_bytes
    if free is None:
        raise UsageError("this system does not say how much memory is free", hint="give --ram SIZE")
    cores = machine.physical_cores
    operations, note = _operations_per_s(machine)
    notes = [note]
    if ram_bytes is None:
        notes.append(f"{format_bytes(free)} of memory are free now")
    return Target(
        name="this machine",
        engine="stillhouse",
        kind="this machine",
        count=1,
        memory_bytes=free,
        memory_note=None,
        ram_bytes=None,
        read_bytes_per_s=read_bytes_per_s(cores),
        operations_per_s=operations,
        is_measured=True,
        notes=tuple(notes),
    )


def accelerator_targets(ram_bytes: int | None = None) -> list[Target]:
    """The GPUs of this machine, those of one name as one system. Unknown ones are left out."""
    machine = this_machine()
    ram = machine.available_memory_bytes if ram_bytes is None else ram_bytes
    found = []
    for accelerator, count in Counter(accelerators(machine)).items():
        system = known_system(accelerator, count)
        if system is not None:
            found.append(target_of(system, ram_bytes=ram))
    return found


def known_system(accelerator: Accelerator, count: int) -> System | None:
    """What the catalogue knows of a device that a tool has listed."""
    times = f"{count}x " if count > 1 else ""
    sizes: Sequence[str] = [""]
    if accelerator.memory_bytes is not None:
        gib = round(accelerator.memory_bytes / (1 << 30))
        sizes = [f" {gib}GB", ""]
    for size in sizes:
        try:
            system = find_device(f"{times}{accelerator.name}{size}")
        except StillhouseError:
            continue
        if accelerator.memory_bytes is None or system.device.shares_memory:
            return system
        return replace(system, memory_bytes=accelerator.memory_bytes)
    return None


def read_bytes_per_s(threads: int, buffer_bytes: int = _BUFFER_BYTES) -> float:
    """What so many threads read from memory: the median of seven passes, some 0.1 s.

    By numpy, which needs nothing compiled and reads as fast as this engine's own kernels.
    """
    buffer = allocate(buffer_bytes)
    buffer[:] = 1  # a page that was never written is read from one shared page of zeros
    parts = np.array_split(buffer.view(np.uint64), threads)
    times_s = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_PASSES):
            start_s = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            times_s.append(time.perf_counter() - start_s)
    return buffer_bytes / median(times_s)


def save_operations_per_s(machine: Machine, operations_per_s: float) -> None:
    """Keeps what was measured for later plans; where it cannot be written, nothing is kept."""
    document = {"cpu": machine.cpu, "cores": machine.physical_cores, "int8": operations_per_s}
    path = _store()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(document))
        part.replace(path)
    except OSError:
        return


def _operations_per_s(machine: Machine) -> tuple[float, str]:
    """What `still doctor` measured on this processor, or what its instructions allow."""
    try:
        kept = json.loads(_store().read_text())
        same = kept["cpu"] == machine.cpu and kept["cores"] == machine.physical_cores
        if same and float(kept["int8"]) > 0:
            return float(kept["int8"]), "its products were measured by 'still doctor'"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    level = detect()
    a_cycle = _OPERATIONS_A_CYCLE.get(level, _PORTABLE_OPERATIONS_A_CYCLE)
    note = (
        f"its products are assumed ({level.label} at {_CLOCK_HZ / 1e9:g} GHz);"
        " 'still doctor' measures them"
    )
    return machine.physical_cores * a_cycle * _CLOCK_HZ, note


def _store() -> Path:
    return paths.home() / "measured.json"
