"""Which kernel serves which encoding: what ``still doctor`` and the generated reference print."""

from __future__ import annotations

from stillhouse.encodings import by_name
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.layouts import BY_ENCODING, WIDE

_FLOATS = ("F32", "F16", "BF16")


def serving(encoding_name: str, isa: Isa) -> str:
    """In words: the packed layout, its bits a weight, and the instruction set of its kernels.

    Raises BadCheckpoint for a name that is no encoding.
    """
    encoding = by_name(encoding_name)
    if encoding.block_size == 1:
        kept = encoding_name if encoding_name in _FLOATS else "F32"
        return f"kept as {kept}, float32 sums"
    layout = BY_ENCODING.get(encoding_name, WIDE)
    bits = 8 * layout.record_bytes / (16 * layout.span)
    exact = "repacked exactly as int8, " if layout is WIDE else ""
    return f"{exact}{layout.name}, {bits:.4g} bits a weight, {isa.label}"


def is_fast(encoding_name: str) -> bool:
    """Whether the encoding keeps its size in memory; the others are widened to int8 when loaded."""
    return by_name(encoding_name).block_size == 1 or encoding_name in BY_ENCODING
