"""Which kernel serves which encoding: what ``still doctor`` and the generated reference print."""

from __future__ import annotations

from collections.abc import Mapping

from stillhouse.encodings import by_name
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import B4, B4MF, BY_ENCODING, C8, WHOLE_ROW, WIDE, Layout
from stillhouse.kernels.linear import has_tiles
from stillhouse.kernels.linear_float8 import ENCODING

_FLOATS = ("F32", "F16", "BF16", ENCODING)
FOLDER_SCHEMES: Mapping[str, Layout | None] = {
    "W8A8": C8,
    "W4A16": B4,
    "W4A16_ASYM": B4MF,
    "FP8": None,
}
"""Schemes of compressed-tensors by their usual names, and their layouts; None for floats."""


def serving(encoding_name: str, isa: Isa) -> str:
    """In words: the packed layout, its bits a weight, and the instruction set of its kernels.

    Raises BadCheckpoint for a name that is no encoding.
    """
    encoding = by_name(encoding_name)
    if encoding.block_size == 1:
        kept = encoding_name if encoding_name in _FLOATS else "F32"
        return f"kept as {kept}, float32 sums"
    layout = BY_ENCODING.get(encoding_name, WIDE)
    exact = "repacked exactly as int8, " if layout is WIDE else ""
    return exact + _in_words(layout, isa)


def serving_scheme(name: str, isa: Isa) -> str:
    """The same for one of FOLDER_SCHEMES."""
    layout = FOLDER_SCHEMES[name]
    if layout is not None and not has_tiles(layout):
        isa = min(isa, Isa.AVX512_VNNI)
    return serving(ENCODING, isa) if layout is None else _in_words(layout, isa)


def _in_words(layout: Layout, isa: Isa) -> str:
    bits = float(layout.code_bits)  # scales of whole rows weigh nothing
    if layout.span != WHOLE_ROW:
        bits = 8 * layout.record_bytes / (16 * layout.span)
    return f"{layout.name}, {bits:.4g} bits a weight, {isa.label}"


def is_fast(encoding_name: str) -> bool:
    """Whether the encoding keeps its size in memory; the others are widened to int8 when loaded."""
    return by_name(encoding_name).block_size == 1 or encoding_name in BY_ENCODING
