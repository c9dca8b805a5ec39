"""How numbers become bytes: one class per format, numpy only, correct before fast."""

from __future__ import annotations

from stillhouse.encodings import float8, i_quants, k_quants, legacy, low_bit, microscaling, plain
from stillhouse.encodings.encoding import AffineBlocks, Encoding
from stillhouse.errors import BadCheckpoint

__all__ = ["ENCODINGS", "AffineBlocks", "Encoding", "by_ggml_type", "by_name"]

ENCODINGS: tuple[Encoding, ...] = (
    plain.F32(),
    plain.F16(),
    plain.BF16(),
    plain.F64(),
    plain.I8(),
    plain.I16(),
    plain.I32(),
    plain.I64(),
    legacy.Q4_0(),
    legacy.Q4_1(),
    legacy.Q5_0(),
    legacy.Q5_1(),
    legacy.Q8_0(),
    legacy.Q8_1(),
    k_quants.Q2_K(),
    k_quants.Q3_K(),
    k_quants.Q4_K(),
    k_quants.Q5_K(),
    k_quants.Q6_K(),
    k_quants.Q8_K(),
    i_quants.IQ4_NL(),
    i_quants.IQ4_XS(),
    i_quants.IQ3_XXS(),
    i_quants.IQ3_S(),
    i_quants.IQ2_XXS(),
    i_quants.IQ2_XS(),
    i_quants.IQ2_S(),
    i_quants.IQ1_S(),
    i_quants.IQ1_M(),
    low_bit.TQ1_0(),
    low_bit.TQ2_0(),
    low_bit.Q1_0(),
    low_bit.Q2_0(),
    microscaling.MXFP4(),
    microscaling.NVFP4(),
)
"""Those of GGUF files."""

_BY_NAME = {encoding.name: encoding for encoding in (*ENCODINGS, float8.F8_E4M3())}
_BY_GGML_TYPE = {encoding.ggml_type: encoding for encoding in ENCODINGS}


def by_name(name: str) -> Encoding:
    """Find a format by ggml's name for it, as "Q4_K", or F8_E4M3. Raises BadCheckpoint."""
    if name not in _BY_NAME:
        raise BadCheckpoint(f"{name!r} is not a tensor type", hint=f"known: {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def by_ggml_type(number: int) -> Encoding:
    """Find a format by the number that GGUF files hold (enum ggml_type). Raises BadCheckpoint."""
    if number not in _BY_GGML_TYPE:
        raise BadCheckpoint(f"tensor type {number} is not one of the {len(ENCODINGS)} known")
    return _BY_GGML_TYPE[number]
