"""Which instructions the kernels may use: found at start, forced with STILLHOUSE_ISA.

The levels are ordered; a level includes what stands below it. Everything but the dot product of
bytes and the AMX tiles is generic vector code that LLVM lowers for whatever the processor has.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from stillhouse import hardware
from stillhouse.errors import UsageError

ENVIRONMENT_VARIABLE = "STILLHOUSE_ISA"


class Isa(IntEnum):
    """An instruction-set level. Its number is a constant in compiled kernels: never renumber."""

    PORTABLE = 0
    AVX2 = 1
    AVX512_VNNI = 2
    AMX = 3

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


_NEEDS: dict[Isa, frozenset[str]] = {
    Isa.AVX2: frozenset({"avx2", "fma", "f16c"}),
    Isa.AVX512_VNNI: frozenset({"avx512f", "avx512bw", "avx512vl", "avx512_vnni"}),
    Isa.AMX: frozenset({"avx512f", "avx512bw", "avx512vl", "avx512_vnni", "amx_tile", "amx_bf16"}),
}
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18  # x86-64 Linux, arch_prctl(2)


def detect(
    flags: frozenset[str] | None = None, environment: Mapping[str, str] | None = None
) -> Isa:
    """The highest level that this processor has, or the one that STILLHOUSE_ISA names.

    Raises UsageError for an unknown name, or for a level that the processor lacks.
    """
    present = frozenset(hardware.this_machine().isa_flags) if flags is None else flags
    best = max((isa for isa, needs in _NEEDS.items() if needs <= present), default=Isa.PORTABLE)
    if best is Isa.AMX and not _may_use_tiles():
        best = Isa.AVX512_VNNI
    wanted = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE, "")
    if not wanted:
        return best
    names = {isa.label: isa for isa in Isa}
    forced = names.get(wanted.lower().replace("_", "-"))
    if forced is None:
        raise UsageError(
            f"{ENVIRONMENT_VARIABLE}={wanted} is no instruction-set level",
            hint="choose one of " + ", ".join(names),
        )
    if forced > best:
        raise UsageError(
            f"{ENVIRONMENT_VARIABLE}={wanted}, but this processor goes up to {best.label}",
            hint=f"unset {ENVIRONMENT_VARIABLE}",
        )
    return forced


def _may_use_tiles() -> bool:
    """Ask Linux for the tile registers, once a process; False where it refuses or is another
    system.
    """
    if sys.platform != "linux":
        return False
    answer = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)
    return bool(answer == 0)


def permutes_bytes(isa: int) -> bool:
    """Whether kernels of this level may permute bytes across a register here (AVX-512 VBMI).

    No level of its own: from AVX512_VNNI on, processors of both kinds exist, and only the looking
    up of grids differs.
    """
    return isa >= Isa.AVX512_VNNI and "avx512vbmi" in hardware.this_machine().isa_flags


class Prefetch(NamedTuple):
    """How far ahead of a stream of weights to fetch, in bytes; 0: leave it to the hardware."""

    into_l1: int
    into_l2: int


def prefetch(code_bits: int, cpu: str | None = None, *, many_rows: bool = False) -> Prefetch:
    """What serves a stream of codes of that many bits best on this processor (docs/LOG.md).

    A Zen 4 EPYC looks far ahead by itself while it reads at memory speed, but what unpacks codes of
    4 to 6 bits needs them in L1; codes of 8 bits it only slows. Where ``many_rows`` are worked on
    between two reads, its hardware stops looking ahead. Intel's distances come from prototypes on a
    Sapphire Rapids Xeon and wait to be measured on these kernels.
    """
    name = hardware.this_machine().cpu if cpu is None else cpu
    if "Intel" in name:
        return Prefetch(into_l1=640, into_l2=4096)
    if many_rows:
        return Prefetch(into_l1=512, into_l2=8192)
    return Prefetch(into_l1=256 if code_bits < 8 else 0, into_l2=0)


def rows_in_registers(isa: Isa) -> int:
    """Rows of activations whose accumulators (three vectors of 16 lanes each, at most) fit into the
    registers beside the weights: 32 of 512 bits, or 16 of 256.
    """
    return 8 if isa >= Isa.AVX512_VNNI else 2
