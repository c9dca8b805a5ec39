"""The level of instructions: what flags give, and what STILLHOUSE_ISA may force."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.kernels.isa import ENVIRONMENT_VARIABLE, Isa, Prefetch, detect, prefetch

AVX2 = frozenset({"avx2", "fma", "f16c"})
VNNI = AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"}


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        (frozenset({"sse2"}), Isa.PORTABLE),
        (frozenset({"neon", "asimd"}), Isa.PORTABLE),
        (AVX2 - {"fma"}, Isa.PORTABLE),
        (AVX2, Isa.AVX2),
        (AVX2 | {"avx512f"}, Isa.AVX2),
        (VNNI, Isa.AVX512_VNNI),
    ],
)
def test_a_level_needs_all_its_flags(flags: frozenset[str], level: Isa) -> None:
    assert detect(flags, {}) is level


@pytest.mark.parametrize("name", ["avx2", "AVX2", "portable"])
def test_a_level_below_the_best_can_be_forced(name: str) -> None:
    assert detect(VNNI, {ENVIRONMENT_VARIABLE: name}).label == name.lower()


@pytest.mark.parametrize("name", ["avx512-vnni", "AVX512_VNNI"])
def test_names_may_be_written_either_way(name: str) -> None:
    assert detect(VNNI, {ENVIRONMENT_VARIABLE: name}) is Isa.AVX512_VNNI


def test_an_empty_variable_forces_nothing() -> None:
    assert detect(AVX2, {ENVIRONMENT_VARIABLE: ""}) is Isa.AVX2


def test_an_unknown_level_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="sse9") as caught:
        detect(VNNI, {ENVIRONMENT_VARIABLE: "sse9"})
    for isa in Isa:
        assert isa.label in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["avx512-vnni", "amx"])
def test_a_level_that_the_processor_lacks_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="this processor goes up to avx2"):
        detect(AVX2, {ENVIRONMENT_VARIABLE: name})


def test_this_machine_has_a_level() -> None:
    assert detect(environment={}) in Isa


def test_prefetching_is_for_processors_that_gain_by_it() -> None:
    assert prefetch(4, "Intel(R) Xeon(R) Platinum 8481C") == Prefetch(640, 4096)
    assert prefetch(4, "AMD EPYC 9B14") == Prefetch(256, 0)
    assert prefetch(8, "AMD EPYC 9B14") == Prefetch(0, 0)
    assert prefetch(8, "AMD EPYC 9B14", many_rows=True) == Prefetch(512, 8192)
