"""What a process that is shut in may still do, by system call, on this kernel and older ones."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.evals.grading import confinement, seccomp, syscalls

protected = pytest.mark.skipif(
    bool(confinement.missing_protection()) or platform.machine() != "x86_64",
    reason="the system has no sandbox, or other numbers",
)
_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def shut_in(script: str, *arguments: str, landlock: int | None = None) -> list[str]:
    """The lines that a script prints, of a process shut in with that version of Landlock."""
    start = (
        "import ctypes, fcntl, os, signal, sys\nfrom stillhouse.evals.grading import confinement\n"
    )
    if landlock is not None:
        start += f"confinement._landlock_version = lambda: {landlock}\n"
    start += (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(number, *arguments):\n"
        "    ctypes.set_errno(0)\n"
        "    print(min(0, libc.syscall(number, *arguments)) and ctypes.get_errno())\n"
        "confinement.shut_in()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", start + script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.skipif(not _HEADER.exists(), reason="the kernel's headers are not here")
def test_the_numbers_of_calls_are_those_of_the_kernels_header() -> None:
    known = dict(re.findall(r"__NR_(\w+) (\d+)", _HEADER.read_text()))
    for table in (syscalls.FORBIDDEN, syscalls.UNSEEN, syscalls.PARTLY):
        for name, (number, _) in table.items():
            assert known.get(name, str(number)) == str(number)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_a_filter_ends_in_an_answer_wherever_it_jumps(machine: str) -> None:
    lines = seccomp.program(machine)
    for at, (code, if_true, if_false, _) in enumerate(lines):
        assert code == 0x06 or at + 1 + max(if_true, if_false) < len(lines)
    assert lines[-1][0] == 0x06


@protected
def test_a_call_newer_than_the_list_is_one_that_the_kernel_does_not_have() -> None:
    newer = [syscalls.LAST_KNOWN + 1, 520, 1000, 0x3FFFFFFF]
    script = "".join(f"call({number}, 0, 0, 0)\n" for number in newer)
    assert shut_in(script) == ["38"] * len(newer)


@protected
def test_a_call_of_the_32_bit_form_ends_the_process() -> None:
    with pytest.raises(AssertionError):
        shut_in(f"call({syscalls.X32_BIT | 39})")


@protected
def test_each_forbidden_call_is_refused() -> None:
    # Arguments that no call can do anything with: only the filter answers EPERM to all of them.
    script = "".join(f"call({one}, -1, 0, 0, 0, 0)\n" for one, _ in syscalls.FORBIDDEN.values())
    assert shut_in(script) == ["1"] * len(syscalls.FORBIDDEN)


@protected
@pytest.mark.parametrize("landlock", [1, 2, 5, None])
def test_no_file_is_emptied_or_changed_whatever_the_kernels_age(
    tmp_path: Path, landlock: int | None
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("the answer")
    script = (
        "path = sys.argv[1].encode()\n"
        "call(76, path, 0)\n"
        "call(2, path, os.O_RDONLY | os.O_TRUNC)\n"
        "call(257, -100, path, os.O_RDONLY | os.O_TRUNC)\n"
        "call(85, path, 0o600)\n"  # creat
        "call(437, -100, path, bytes(24), 24)\n"  # openat2
        "opened = os.open(path, os.O_RDONLY)\n"
        "call(16, opened, 0x40086602, bytes(8))\n"  # FS_IOC_SETFLAGS
        "call(73, opened, 2)\n"
        "for lock in (5, 6, 7, 1024, 1026): call(72, opened, lock, bytes(64))\n"
    )
    assert shut_in(script, str(kept), landlock=landlock) == [
        *("1", "1", "1", "13", "38", "1", "1"),
        *("1",) * 5,
    ]
    assert kept.read_text() == "the answer"


@protected
@pytest.mark.parametrize("landlock", [1, 5, None])
def test_no_signal_reaches_another_process_by_way_of_a_descriptor(landlock: int | None) -> None:
    """A pipe that is written to signals its owner, named by F_SETOWN: before Landlock 6, anyone."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    script = (
        "reading, writing = os.pipe()\n"
        f"for command, value in ((8, {other.pid}), (10, 9), (15, 0)):\n"
        "    call(72, reading, command, value)\n"
        "fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)\n"
        "os.write(writing, b'x')\n"
    )
    try:
        assert shut_in(script, landlock=landlock) == ["1", "1", "1"]
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@protected
def test_a_process_that_is_to_end_with_another_cannot_change_that() -> None:
    assert shut_in("call(157, 1, 0, 0, 0, 0)\ncall(157, 15, b'name', 0, 0, 0)") == ["1", "0"]


@protected
def test_what_programs_ask_of_descriptors_is_answered() -> None:
    script = (
        "opened = os.open('/dev/null', os.O_RDONLY)\n"
        "os.set_inheritable(os.dup(opened), True)\n"
        "os.set_blocking(opened, False)\n"
        "print(os.isatty(opened))\n"
        "import threading\n"
        "thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()\n"
    )
    assert shut_in(script) == ["False", "thread"]


def test_what_is_missing_is_told_for_each_age_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(landlock: int, *, has_seccomp: bool) -> str:
        monkeypatch.setattr(confinement, "_landlock_version", lambda: landlock)
        monkeypatch.setattr(confinement, "_has_seccomp", lambda: has_seccomp)
        return " ".join(confinement.missing_protection())

    assert "files are not protected" in missing(0, has_seccomp=True)
    # The gaps before 3 and 6 are shut by the filter, as the tests above show.
    assert missing(1, has_seccomp=True) == missing(5, has_seccomp=True) == ""
    assert "files may be emptied" in missing(2, has_seccomp=False)
    for landlock in (3, 5, 6):
        assert "emptied" not in missing(landlock, has_seccomp=False)
        assert "other processes are not protected" in missing(landlock, has_seccomp=False)
