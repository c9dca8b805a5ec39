"""Shuts the calling process in, for good: no files written, no network, no other process touched.

What a model wrote is run here, or turned into numbers by libraries that call `eval`. On Linux
three things of the kernel, which need no rights to use, stand in its way:

    limits     of memory, CPU time, size of files (0), core dumps   (setrlimit; also on macOS)
    Landlock   no path may be written, run, or - where a list is given - read outside the list
    seccomp    no process, no socket, no signal to others, no tracing, no change of owners

Nothing here is imported by the process that asks; only the standard library is used.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

from stillhouse.evals.grading.syscalls import AUDIT_ARCH, CLONE, CLONE3, FORBIDDEN, PRLIMIT64
from stillhouse.evals.grading.syscalls import X32_BIT as _X32_BIT

_NO_NEW_PRIVILEGES, _SECCOMP = 38, 22  # prctl's
_FILTER = 2
_CAPSET = {"x86_64": 126, "aarch64": 91}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_VERSION_QUERY = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# Rights over files and over TCP ports that each version of Landlock knows.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE, _NETWORK_RIGHTS = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract sockets and signals stay within

# Classic BPF: load a word of seccomp_data, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _SOME_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE, _UNKNOWN, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_CLONE_THREAD = 0x00010000


def missing_protection() -> tuple[str, ...]:
    """What this system does not have of it, in words; empty where all of it holds."""
    missing = []
    if os.name != "posix":
        missing.append("limits of memory and CPU time")
    if _landlock_version() < 1:
        missing.append("Landlock (files are not protected)")
    if not _has_seccomp():
        missing.append("seccomp (network and other processes are not protected)")
    return tuple(missing)


def limit(*, memory_bytes: int | None, cpu_s: int | None = None) -> None:
    """Of this process; files that it writes end at 0 bytes. Does nothing on Windows."""
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    if cpu_s is not None:
        limits[resource.RLIMIT_CPU] = cpu_s
    if memory_bytes is not None:
        limits[resource.RLIMIT_AS] = memory_bytes
        limits[resource.RLIMIT_DATA] = memory_bytes
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS refuses limits of memory; what is refused is as the system has it.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def shut_in(readable: Sequence[str] | None = None) -> None:
    """Landlock and seccomp, as far as there are. `readable`: folders and files that may be read;
    None: all. Cannot be undone. Raises OSError if the kernel has a protection and refuses it.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _drop_capabilities(libc)
    if _landlock_version() >= 1:
        _restrict_files(libc, readable)
    if _has_seccomp():
        _restrict_calls(libc)


def _landlock_version() -> int:
    if sys.platform != "linux":
        return 0
    version: int = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE, None, 0, _VERSION_QUERY)
    return max(0, version)


def _has_seccomp() -> bool:
    if sys.platform != "linux" or platform.machine() not in FORBIDDEN:
        return False
    if struct.calcsize("P") != 8:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel cannot read a filter at address 0: EFAULT says that it would have taken one.
    libc.prctl(_SECCOMP, _FILTER, None, 0, 0)
    return ctypes.get_errno() == 14


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """So that root is a user like others, but for the files that are root's own."""
    number = _CAPSET.get(platform.machine())
    if number is not None:
        header = struct.pack("Ii", 0x20080522, 0)
        _checked(libc.syscall(number, header, bytes(24)))


def _restrict_files(libc: ctypes.CDLL, readable: Sequence[str] | None) -> None:
    version = _landlock_version()
    files = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]
    if readable is None:
        files &= ~(_READ_FILE | _READ_DIR)
    network = _NETWORK_RIGHTS if version >= _NETWORK_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    # Older kernels take a shorter structure only.
    num_bytes = 24 if scopes else 16 if network else 8
    rights = struct.pack("QQQ", files, network, scopes)
    ruleset = _checked(libc.syscall(_LANDLOCK_CREATE, rights, num_bytes, 0))
    for path in readable or ():
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)  # noqa: PTH112
        _checked(libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("<Qi", allowed, opened), 0))
        os.close(opened)
    _checked(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _restrict_calls(libc: ctypes.CDLL) -> None:
    program = _filter(platform.machine())
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    head = struct.pack("HP", len(program), ctypes.addressof(buffer))
    _checked(libc.prctl(_SECCOMP, _FILTER, head, 0, 0))


def _filter(machine: str) -> list[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, operand), jumps counted from the next instruction."""
    program = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
        (_EQUAL, 0, 1, CLONE3),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    for number in FORBIDDEN[machine]:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program += [
        (_EQUAL, 0, 4, CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_SOME_BITS, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, 3, PRLIMIT64[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return program


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
