"""Shuts the calling process in, for good: no files written, no network, no other process touched.

What a model wrote is run here, or turned into numbers by libraries that call `eval`. On Linux
three things of the kernel, which need no rights to use, stand in its way:

    limits     of memory, CPU time, size of files (0), core dumps   (setrlimit; also on macOS)
    Landlock   no path may be written, run, or - where a list is given - read outside the list
    seccomp    no process, no socket, no signal to others, no tracing, no change of owners; no call
               that is newer than this list

Nothing here is imported by the process that asks; only the standard library is used.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

from stillhouse.evals.grading import seccomp
from stillhouse.evals.grading.syscalls import MACHINES

_SET_DEATH_SIGNAL, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 22, 38  # prctl's
_FILTER = 2
_CAPSET = {"x86_64": 126, "aarch64": 91}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_VERSION_QUERY = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# Rights over files and over TCP ports that each version of Landlock knows.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TRUNCATION_SINCE = 3
_NETWORK_SINCE, _NETWORK_RIGHTS = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11  # abstract sockets and signals stay within


def missing_protection() -> tuple[str, ...]:
    """What this system does not have of it, in words; empty where all of it holds.

    What versions 1 to 5 of Landlock let pass - emptied files before 3, commands to devices before
    5, signals by way of fcntl before 6 - is refused by seccomp, and lacks where that lacks too.
    """
    missing = []
    if os.name != "posix":
        missing.append("limits of memory and CPU time")
    version, has_seccomp = _landlock_version(), _has_seccomp()
    if version < 1:
        missing.append("Landlock (files are not protected)")
    elif version < _TRUNCATION_SINCE and not has_seccomp:
        missing.append(f"Landlock {_TRUNCATION_SINCE} (files may be emptied)")
    if not has_seccomp:
        missing.append("seccomp (network and other processes are not protected)")
    return tuple(missing)


def end_with(parent: int) -> None:
    """The calling process ends when `parent`, which started it, does. Only on Linux; elsewhere it
    lives on until a limit or the end of its input. To be called before `shut_in`, which keeps it.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:  # it had ended before
        os._exit(1)


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
    if sys.platform != "linux" or platform.machine() not in MACHINES:
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
    head, _kept = seccomp.packed(seccomp.program(platform.machine()))
    _checked(libc.prctl(_SECCOMP, _FILTER, head, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
