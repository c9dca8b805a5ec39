"""Accelerators of this machine, as the makers' own tools list them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from stillhouse.hardware import Machine

MIB = 1 << 20
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device. `memory_bytes` is None where the tool does not say."""

    name: str
    memory_bytes: int | None


def accelerators(machine: Machine) -> list[Accelerator]:
    """NVIDIA's by NVML's tool, AMD's by ROCm's, Intel's by XPU Manager's, Apple's by its name.

    A tool without its driver lists nothing. Takes some ten milliseconds for each tool there is.
    """
    if sys.platform == "darwin" and machine.cpu.startswith("Apple"):
        return [Accelerator(machine.cpu, machine.total_memory_bytes)]
    nvidia = _told("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    amd = _told("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--csv")
    intel = _told("xpu-smi", "discovery", "--dump", "2,16")
    return [*read_nvidia(nvidia), *read_amd(amd), *read_intel(intel)]


def read_nvidia(text: str) -> list[Accelerator]:
    """Lines of `name, MiB`."""
    found = []
    for line in text.splitlines():
        name, comma, mib = line.rpartition(",")
        if comma and name.strip():
            memory = int(mib) * MIB if mib.strip().isdigit() else None
            found.append(Accelerator(name.strip(), memory))
    return found


def read_amd(text: str) -> list[Accelerator]:
    """A table with a head; the columns' names differ from version to version."""
    rows = [line.split(",") for line in text.splitlines() if "," in line]
    if len(rows) < 2:
        return []
    names = [cell.strip().lower() for cell in rows[0]]
    series = next((n for n, cell in enumerate(names) if "card series" in cell), None)
    memory = next((n for n, cell in enumerate(names) if "total memory" in cell), None)
    found = []
    for row in rows[1:]:
        if series is None or len(row) <= series:
            continue
        size = row[memory].strip() if memory is not None and len(row) > memory else ""
        found.append(Accelerator(row[series].strip(), int(size) if size.isdigit() else None))
    return found


def read_intel(text: str) -> list[Accelerator]:
    """A head, then lines of `"name",MiB`."""
    found = []
    for line in text.splitlines()[1:]:
        match = re.match(r'\s*"?([^",]+)"?\s*(?:,\s*"?([\d.]+))?', line)
        if match and match[1].strip():
            memory = int(float(match[2]) * MIB) if match[2] else None
            found.append(Accelerator(match[1].strip(), memory))
    return found


def _told(*command: str) -> str:
    path = shutil.which(command[0])
    if path is None:
        return ""
    try:
        told = subprocess.run(
            (path, *command[1:]), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout if told.returncode == 0 else ""
