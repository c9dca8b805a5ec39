"""The filter of system calls, in the kernel's classic BPF. Read by `confinement` alone.

Laid down in include/uapi/linux/seccomp.h and linux/filter.h: a program that sees a call's number,
the machine's kind and the arguments, each in two words of which the lower comes first.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

from stillhouse.evals.grading.syscalls import (
    AUDIT_ARCH,
    FORBIDDEN,
    LAST_KNOWN,
    MACHINES,
    PARTLY,
    UNSEEN,
    X32_BIT,
)

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand

_LOAD, _EQUAL, _AT_LEAST, _SOME_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4
_ARGUMENT_AT = (16, 24, 32)
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE, _UNKNOWN = 0x00050001, 0x00050026  # EPERM, ENOSYS
_CLONE_THREAD = 0x00010000
_SET_DEATH_SIGNAL = 1  # prctl's, by which the process ends with the one that asks
_TRUNCATE = 0o1000  # O_TRUNC
# fcntl's: copies of a descriptor, its flags, a pipe's size. Not whom it signals, locks, leases.
_DESCRIPTORS = (0, 1, 2, 3, 4, 1030, 1032)
# ioctl's TCGETS TCGETS2 TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX. Not a file's flags
# (FS_IOC_SETFLAGS needs no right to write), nor what types into a terminal.
_QUESTIONS = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)


def program(machine: str) -> list[Instruction]:
    """Of MACHINES. Jumps are counted from the next instruction."""
    column = MACHINES.index(machine)
    lines = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, X32_BIT),
        (_RETURN, 0, 0, _KILL),
        (_AT_LEAST, 0, 1, LAST_KNOWN + 1),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    for table, answer in ((UNSEEN, _UNKNOWN), (FORBIDDEN, _REFUSE)):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    for name, argument, test, operands, answer, otherwise in (
        ("clone", 0, _SOME_BITS, (_CLONE_THREAD,), _ALLOW, _REFUSE),
        ("prlimit64", 0, _EQUAL, (0,), _ALLOW, _REFUSE),  # 0: the caller itself
        ("prctl", 0, _EQUAL, (_SET_DEATH_SIGNAL,), _REFUSE, _ALLOW),
        ("fcntl", 1, _EQUAL, _DESCRIPTORS, _ALLOW, _REFUSE),
        ("ioctl", 1, _EQUAL, _QUESTIONS, _ALLOW, _REFUSE),
        # Before its version 3 Landlock lets O_RDONLY | O_TRUNC empty a file.
        ("open", 1, _SOME_BITS, (_TRUNCATE,), _REFUSE, _ALLOW),
        ("openat", 2, _SOME_BITS, (_TRUNCATE,), _REFUSE, _ALLOW),
    ):
        number = PARTLY[name][column]
        if number is not None:
            tests = [line for one in operands for line in _answered(test, one, answer)]
            body = [(_LOAD, 0, 0, _ARGUMENT_AT[argument]), *tests, (_RETURN, 0, 0, otherwise)]
            lines += [(_EQUAL, 0, len(body), number), *body]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def packed(lines: Sequence[Instruction]) -> tuple[bytes, object]:
    """The `sock_fprog` that prctl takes; and what it points to, to be kept until then."""
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    return struct.pack("HP", len(lines), ctypes.addressof(buffer)), buffer


def _answered(test: int, operand: int, answer: int) -> list[Instruction]:
    return [(test, 0, 1, operand), (_RETURN, 0, 0, answer)]
