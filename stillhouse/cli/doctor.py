"""`still doctor`: this machine as the engine sees it, and which kernel serves which format."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stillhouse.accelerators import Accelerator, accelerators
from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.hardware import Machine, this_machine
from stillhouse.units import format_bytes, format_rate

_FORMATS_WIDTH = 50  # characters of format names on a line


def doctor(threads: options.Threads = None, json: options.Json = False) -> None:
    """This machine, and which kernel serves which format."""
    from stillhouse.encodings import ENCODINGS
    from stillhouse.kernels import bandwidth, compiler, isa, peak, table
    from stillhouse.planner.here import save_operations_per_s

    machine = this_machine()
    level = isa.detect()
    num_threads = threads or machine.physical_cores
    read_bytes_per_s = bandwidth.measure_read_bytes_per_s(num_threads)
    int8_operations_per_s = peak.measure_operations_per_s(num_threads, "int8")
    if int8_operations_per_s is not None and num_threads == machine.physical_cores:
        save_operations_per_s(machine, int8_operations_per_s)
    serving = {encoding.name: table.serving(encoding.name, level) for encoding in ENCODINGS}
    serving |= {name: table.serving_scheme(name, level) for name in table.FOLDER_SCHEMES}
    report: dict[str, Any] = {
        "isa_level": level.label,
        "threads": num_threads,
        "read_bandwidth_bytes_per_s": read_bytes_per_s,
        "int8_operations_per_s": int8_operations_per_s,
        "accelerators": _named(accelerators(machine)),
        "kernel_cache": str(compiler.prepare_cache()),
        "kernels": serving,
    }
    if json:
        print_document("doctor", **report)
    else:
        print("\n".join(_lines(machine, report)))


def _named(found: Iterable[Accelerator]) -> list[str]:
    """For people: a name, and its memory where that is told."""
    return [
        one.name if one.memory_bytes is None else f"{one.name}, {format_bytes(one.memory_bytes)}"
        for one in found
    ]


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
        ("products", _products(report["int8_operations_per_s"])),
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


def _products(operations_per_s: float | None) -> str:
    if operations_per_s is None:
        return "not measured: with matrix tiles the peak is not known here"
    return f"{operations_per_s / 1e9:.0f} GOP/s of int8, for prompts and many users"


def _with_tilde(path: str) -> str:
    home = str(Path.home())
    return path.replace(home, "~", 1) if path.startswith(home) else path
