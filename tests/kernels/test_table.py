"""What is said of each encoding's kernel."""

from __future__ import annotations

import pytest

from stillhouse.encodings import ENCODINGS
from stillhouse.errors import BadCheckpoint
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.table import is_fast, serving, serving_scheme


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
def test_every_encoding_is_served(encoding: object) -> None:
    assert serving(repr(encoding), Isa.PORTABLE)


def test_the_words_name_layout_size_and_level() -> None:
    assert serving("Q4_K", Isa.AVX2) == "k4, 4.625 bits a weight, avx2"
    assert serving("TQ2_0", Isa.AVX512_VNNI).startswith("repacked exactly as int8, wide, ")
    assert serving("BF16", Isa.PORTABLE) == "kept as BF16, float32 sums"
    assert serving("I8", Isa.PORTABLE) == serving("F64", Isa.PORTABLE)


def test_schemes_of_folders_are_served_too() -> None:
    assert serving_scheme("W8A8", Isa.AMX) == "c8, 8 bits a weight, avx512-vnni"
    assert serving_scheme("W4A16_ASYM", Isa.AVX2) == "b4mf, 6 bits a weight, avx2"
    assert serving_scheme("FP8", Isa.AVX2) == "kept as F8_E4M3, float32 sums"


def test_the_formats_of_the_models_we_name_are_fast() -> None:
    for name in ("Q4_K", "Q6_K", "Q5_0", "Q8_0", "Q4_1", "Q2_K", "IQ4_XS", "F32"):
        assert is_fast(name)
    assert not is_fast("TQ2_0")


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(BadCheckpoint, match="Q9_X"):
        serving("Q9_X", Isa.PORTABLE)
