"""`stillhouse.hardware`: what a process may use, from trees of files as Linux lays them out."""

import json
from pathlib import Path

import pytest

from stillhouse.hardware import read_linux, this_machine

GIB = 1024**3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four CPUs of two cores with two threads each, 16 GiB of which 12 are free."""
    write(tmp_path, "proc/cpuinfo", "model name\t: A Processor\nflags\t\t: fpu avx2 amx_int8 fma\n")
    write(
        tmp_path,
        "proc/meminfo",
        f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {12 * GIB // 1024} kB",
    )
    write(tmp_path, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    for cpu in range(4):
        topology = f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        write(tmp_path, topology, f"{cpu % 2},{cpu % 2 + 2}\n")
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_plain_machine_is_told_as_it_is(root: Path) -> None:
    facts = read_linux(root, {0, 1, 2, 3})
    assert facts.cpu == "A Processor"
    assert facts.isa_flags == ("avx2", "fma", "amx_int8")
    assert (facts.physical_cores, facts.logical_cores) == (2, 4)
    assert (facts.total_memory_bytes, facts.available_memory_bytes) == (16 * GIB, 12 * GIB)
    assert facts.huge_pages == "madvise"


def test_affinity_limits_the_cores(root: Path) -> None:
    facts = read_linux(root, {0, 2})
    assert (facts.physical_cores, facts.logical_cores) == (1, 2)


def test_an_outer_control_group_limits_the_cores(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/outer/inner\n")
    write(root, "sys/fs/cgroup/outer/cpu.max", "150000 100000\n")
    write(root, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n")
    facts = read_linux(root, {0, 1, 2, 3})
    assert (facts.physical_cores, facts.logical_cores) == (1, 1)


def test_a_control_group_limits_the_memory_but_its_file_cache_counts_as_free(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/memory.max", str(4 * GIB))
    write(root, "sys/fs/cgroup/memory.current", str(3 * GIB))
    write(root, "sys/fs/cgroup/memory.stat", f"anon 7\ninactive_file {2 * GIB}\n")
    facts = read_linux(root, {0})
    assert (facts.total_memory_bytes, facts.available_memory_bytes) == (4 * GIB, 3 * GIB)


def test_version_1_control_groups_count_too(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", str(8 * GIB))
    write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", str(1 * GIB))
    write(root, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000")
    write(root, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000")
    facts = read_linux(root, {0, 1, 2, 3})
    assert facts.logical_cores == 2
    assert (facts.total_memory_bytes, facts.available_memory_bytes) == (8 * GIB, 7 * GIB)


def test_a_machine_that_tells_nothing_gives_no_guesses(tmp_path: Path) -> None:
    facts = read_linux(tmp_path, {0, 1})
    assert (facts.cpu, facts.isa_flags, facts.huge_pages) == ("", (), None)
    assert (facts.physical_cores, facts.logical_cores) == (2, 2)
    assert (facts.total_memory_bytes, facts.available_memory_bytes) == (None, None)


def test_this_machine_has_cores_and_is_json() -> None:
    machine = this_machine()
    assert 1 <= machine.physical_cores <= machine.logical_cores
    assert machine.cpu
    assert json.loads(json.dumps(machine.as_json())) == machine.as_json()
