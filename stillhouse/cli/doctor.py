"""`still doctor`: this machine as the engine sees it, and which kernel serves which format."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.hardware import Machine, this_machine
from stillhouse.units import format_bytes, format_rate

# A tool that lists a maker's accelerators, and how it is asked.
_ACCELERATOR_TOOLS = (
    ("nvidia-smi", "--list-gpus"),
    ("rocm-smi", "--showproductname", "--csv"),
    ("xpu-smi", "discovery", "--dump", "2"),
)

_FORMATS_WIDTH = 50  # characters of format names on a line


def doctor(threads: options.Threads = None, json: options.Json = False) -> None:
    """This machine, and which kernel serves which format."""
    from stillhouse.encodings import ENCODINGS
    from stillhouse.kernels import bandwidth, compiler, isa, table

    machine = this_machine()
    level = isa.detect()
    num_threads = threads or machine.physical_cores
    read_bytes_per_s = bandwidth.measure_read_bytes_per_s(num_threads)
    serving = {encoding.name: table.serving(encoding.name, level) for encoding in ENCODINGS}
    serving |= {name: table.serving_scheme(name, level) for name in table.FOLDER_SCHEMES}
    report: dict[str, Any] = {
        "isa_level": level.label,
        "threads": num_threads,
        "read_bandwidth_bytes_per_s": read_bytes_per_s,
        "accelerators": accelerators(),
        "kernel_cache": str(compiler.prepare_cache()),
        "kernels": serving,
    }
    if json:
        print_document("doctor", **report)
    else:
        print("\n".join(_lines(machine, report)))


def accelerators() -> list[str]:
    """What the makers' own tools list here. Stillhouse computes on the CPU all the same."""
    found: list[str] = []
    for tool, *arguments in _ACCELERATOR_TOOLS:
        path = shutil.which(tool)
        if path is None:
            continue
        try:
            listing = subprocess.run((path, *arguments), capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue  # a tool without its driver: nothing that could be used
        if listing.returncode == 0:
            found += [line.strip() for line in listing.stdout.splitlines() if line.strip()]
    return found


def _lines(machine: Machine, report: dict[str, Any]) -> list[str]:
    rows = [
        ("processor", f"{machine.cpu} ({machine.architecture}), {machine.os}"),
        ("instructions", f"{report['isa_level']} kernels; has {' '.join(machine.isa_flags)}"),
        ("cores", f"{machine.physical_cores} ({machine.logical_cores} hardware threads)"),
        ("memory", _memory(machine)),
        (
            "bandwidth",
            f"{format_rate(report['read_bandwidth_bytes_per_s'])} read"
            f" with {report['threads']} threads",
        ),
        ("accelerators", ", ".join(report["accelerators"]) or "none found"),
        ("kernel cache", _with_tilde(report["kernel_cache"])),
    ]
    kernels: dict[str, list[str]] = {}
    for name, kernel in report["kernels"].items():
        kernels.setdefault(kernel, []).append(name)
    formats = [("kernels", "")]
    for kernel, names in kernels.items():
        for number, line in enumerate(textwrap.wrap(" ".join(names), _FORMATS_WIDTH)):
            formats.append(("" if number else f"  {kernel}", line))
    return [*aligned(rows), "", *aligned(formats)]


def _memory(machine: Machine) -> str:
    if machine.total_memory_bytes is None or machine.available_memory_bytes is None:
        return "unknown"
    total, free = map(format_bytes, (machine.total_memory_bytes, machine.available_memory_bytes))
    pages = f"; huge pages: {machine.huge_pages}" if machine.huge_pages else ""
    return f"{total}, {free} of it free{pages}"


def _with_tilde(path: str) -> str:
    home = str(Path.home())
    return path.replace(home, "~", 1) if path.startswith(home) else path
