"""The system calls that text from a model may not make, by number. Read by `confinement` alone."""

from __future__ import annotations

from collections.abc import Mapping

FORBIDDEN: Mapping[str, tuple[int, ...]] = {
    # Of Linux, by `platform.machine()`. In the order of the names below; arm64 has fewer.
    # fork vfork execve execveat | socket socketpair connect | kill tkill tgkill rt_sigqueueinfo
    # rt_tgsigqueueinfo pidfd_open pidfd_send_signal | ptrace process_vm_readv process_vm_writev
    # perf_event_open userfaultfd | unshare setns mount bpf io_uring_setup seccomp
    # open_by_handle_at | chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes
    # futimesat utimensat setxattr lsetxattr fsetxattr removexattr | shmget semget msgget keyctl
    # add_key memfd_create setpriority sched_setaffinity
    "x86_64": (
        *(57, 58, 59, 322),
        *(41, 53, 42),
        *(62, 200, 234, 129, 297, 434, 424),
        *(101, 310, 311, 298, 323),
        *(272, 308, 165, 321, 425, 317, 304),
        *(90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197),
        *(29, 64, 68, 250, 248, 319, 141, 203),
    ),
    "aarch64": (
        *(221, 281),
        *(198, 199, 203),
        *(129, 130, 131, 138, 240, 434, 424),
        *(117, 270, 271, 241, 282),
        *(97, 268, 40, 280, 425, 277, 265),
        *(52, 53, 452, 55, 54, 88, 5, 6, 7, 14),
        *(194, 190, 186, 219, 217, 279, 140, 122),
    ),
}

# clone may make threads only (its first argument says so); clone3 hides that in memory, so it is
# answered as unknown, and the C library turns to clone. prlimit64 may only speak of the caller.
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
PRLIMIT64 = {"x86_64": 302, "aarch64": 261}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000  # calls of x86_64's 32-bit form, which would go round the numbers above
