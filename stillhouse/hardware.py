"""Facts about this machine that a result depends on: processor, cores and memory.

Everything is read from the operating system when asked, nothing is measured and nothing is
remembered. Cores and memory respect the limits set on this process (CPU affinity, control groups):
a container that sees 64 cores and may use 2 is a machine of 2 cores. What a platform does not tell
is None or empty, never a guess.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# The features that decide which kernel runs, as Linux names them; other names are mapped.
ISA_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512dq",
    "avx512vl", "avx512vbmi", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "fphp", "sve", "sve2", "sme",
)  # fmt: skip

_MACOS_FLAGS = {
    "FEAT_AdvSIMD": "asimd",
    "FEAT_DotProd": "asimddp",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_FP16": "fphp",
    "FEAT_SME": "sme",
}

# PF_ constants of winnt.h. Windows names neither fma nor f16c, which every processor with avx2 has.
_WINDOWS_FLAGS = {
    38: ("sse4_2",),
    39: ("avx",),
    40: ("avx2", "fma", "f16c"),
    41: ("avx512f",),
    19: ("asimd",),
    43: ("asimddp",),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a result's reader has to know of the machine that gave it. Memory in bytes."""

    os: str
    architecture: str
    cpu: str
    isa_flags: tuple[str, ...]
    physical_cores: int
    logical_cores: int
    total_memory_bytes: int | None
    available_memory_bytes: int | None
    huge_pages: str | None  # Linux's transparent huge pages: always, madvise or never
    python: str

    def as_json(self) -> dict[str, Any]:
        """The same names and values, ready for `json.dumps`."""
        return asdict(self) | {"isa_flags": list(self.isa_flags)}


@dataclass(frozen=True, slots=True)
class _Platform:
    """The part of `Machine` that each operating system tells in its own way."""

    cpu: str = ""
    isa_flags: tuple[str, ...] = ()
    physical_cores: int | None = None
    logical_cores: int | None = None
    total_memory_bytes: int | None = None
    available_memory_bytes: int | None = None
    huge_pages: str | None = None


def this_machine() -> Machine:
    """The machine as this process sees it now; takes a few milliseconds."""
    if sys.platform == "linux":
        facts = read_linux(Path("/"), os.sched_getaffinity(0))
    elif sys.platform == "darwin":
        facts = _read_macos()
    elif sys.platform == "win32":
        facts = _read_windows()
    else:
        facts = _Platform()
    logical = facts.logical_cores or os.cpu_count() or 1
    return Machine(
        os=f"{platform.system()} {platform.release()}".strip(),
        architecture=platform.machine(),
        cpu=facts.cpu or platform.processor() or platform.machine(),
        isa_flags=facts.isa_flags,
        physical_cores=min(facts.physical_cores or logical, logical),
        logical_cores=logical,
        total_memory_bytes=facts.total_memory_bytes,
        available_memory_bytes=facts.available_memory_bytes,
        huge_pages=facts.huge_pages,
        python=platform.python_version(),
    )


def read_linux(root: Path, affinity: set[int]) -> _Platform:
    """Linux's facts, from the files under `root`, for a process bound to the CPUs `affinity`."""
    cpuinfo = _colon_table(_read(root / "proc/cpuinfo"))
    flags = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    groups = list(_control_groups(root))
    quota = min((cores for group in groups if (cores := _cpu_quota(group))), default=len(affinity))
    logical = max(1, min(len(affinity), int(quota)))
    # One core, several hardware threads: siblings share the same list.
    siblings = {
        _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        for cpu in affinity
    }
    total, available = _linux_memory(root, groups)
    return _Platform(
        cpu=cpuinfo.get("model name") or _read(root / "proc/device-tree/model").rstrip("\0"),
        isa_flags=tuple(flag for flag in ISA_FLAGS if flag in flags),
        physical_cores=min(len(siblings), logical),
        logical_cores=logical,
        total_memory_bytes=total,
        available_memory_bytes=available,
        huge_pages=_chosen(_read(root / "sys/kernel/mm/transparent_hugepage/enabled")),
    )


def _linux_memory(root: Path, groups: list[Path]) -> tuple[int | None, int | None]:
    table = _colon_table(_read(root / "proc/meminfo"))
    total, available = _kilobytes(table.get("MemTotal")), _kilobytes(table.get("MemAvailable"))
    for group in groups:
        limit = _integer(group / "memory.max") or _integer(group / "memory.limit_in_bytes")
        if limit is None or total is None or available is None or limit >= total:
            continue  # version 1 writes a huge number where version 2 writes 'max'
        used = _integer(group / "memory.current") or _integer(group / "memory.usage_in_bytes") or 0
        cached = _space_table(_read(group / "memory.stat")).get("inactive_file", 0)
        total = limit
        available = max(0, min(available, limit - used + cached))
    return total, available


def _control_groups(root: Path) -> Iterator[Path]:
    """The folders whose limits hold for this process, of control groups version 2 and 1."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            inner = mount / name.lstrip("/")
            yield from (
                folder for folder in (inner, *inner.parents) if folder.is_relative_to(mount)
            )
        elif controllers in ("memory", "cpu", "cpu,cpuacct"):
            # In a container the name is the host's, and the mount itself is this process's group.
            yield from (mount / controllers / name.lstrip("/"), mount / controllers)


def _cpu_quota(group: Path) -> float | None:
    """Cores' worth of time that the group may use, or None without a limit."""
    fields = _read(group / "cpu.max").split() or [
        _read(group / "cpu.cfs_quota_us"),
        _read(group / "cpu.cfs_period_us"),
    ]
    if len(fields) != 2 or not fields[0].isdigit() or not fields[1].isdigit():
        return None
    return int(fields[0]) / int(fields[1])


def _read_macos() -> _Platform:
    names = ("machdep.cpu.brand_string", "hw.physicalcpu", "hw.logicalcpu", "hw.memsize")
    facts = _colon_table(_command("sysctl", *names))
    intel = _command("sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features").lower()
    arm = _colon_table(_command("sysctl", "hw.optional.arm"))
    flags = {
        name
        for feature, name in _MACOS_FLAGS.items()
        if arm.get(f"hw.optional.arm.{feature}") == "1"
    }
    flags |= {flag.replace("sse4.2", "sse4_2").replace("avx1.0", "avx") for flag in intel.split()}
    return _Platform(
        cpu=facts.get("machdep.cpu.brand_string", ""),
        isa_flags=tuple(flag for flag in ISA_FLAGS if flag in flags),
        physical_cores=int(facts.get("hw.physicalcpu", 0)) or None,
        logical_cores=int(facts.get("hw.logicalcpu", 0)) or None,
        total_memory_bytes=int(facts.get("hw.memsize", 0)) or None,
        available_memory_bytes=_macos_available_bytes(_command("vm_stat")),
    )


def _macos_available_bytes(vm_stat: str) -> int | None:
    """Free, inactive and purgeable pages: what the system gives without swapping."""
    page_bytes = next((int(word) for word in vm_stat.split() if word.isdigit()), None)
    table = _colon_table(vm_stat)
    pages = [
        table.get(f"Pages {kind}", "").rstrip(".") for kind in ("free", "inactive", "purgeable")
    ]
    if page_bytes is None or not all(page.isdigit() for page in pages):
        return None
    return page_bytes * sum(map(int, pages))


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 5),
    )


def _read_windows() -> _Platform:
    if sys.platform != "win32":  # tells the type checker where this is read
        return _Platform()
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel32 = ctypes.windll.kernel32
    known = bool(kernel32.GlobalMemoryStatusEx(ctypes.byref(status)))
    present = (kernel32.IsProcessorFeaturePresent(feature) for feature in _WINDOWS_FLAGS)
    flags = zip(_WINDOWS_FLAGS.values(), present, strict=True)
    return _Platform(
        isa_flags=tuple(name for names, has in flags if has for name in names),
        total_memory_bytes=status.total if known else None,
        available_memory_bytes=status.available if known else None,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _command(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _colon_table(text: str) -> Mapping[str, str]:
    """The first value of every 'name : value' line."""
    table: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            table.setdefault(name.strip(), value.strip())
    return table


def _space_table(text: str) -> Mapping[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _kilobytes(text: str | None) -> int | None:
    """'24615960 kB' → bytes."""
    return int(text.split()[0]) * 1024 if text else None


def _integer(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.isdigit() else None


def _chosen(text: str) -> str | None:
    """'always [madvise] never' → 'madvise'."""
    return text.partition("[")[2].partition("]")[0] or None
