"""How packed weights lie in memory: panels of sixteen output rows, read from front to back.

A panel is a run of records, each holding ``span`` columns of its sixteen rows:

    scale header | scales of the groups | minima of the groups | code chunks of 32 columns

Codes are unsigned; what a format counts from its middle has an ``offset`` (a power of two) to take
away. In a chunk, the low four bits come first as four vectors of 64 bytes: vector c holds, in dword
lane = row, byte j, column 8c + j (low half) and 8c + 4 + j (high half). Then one vector with the
fifth bits (bit i of byte j: column 4i + j), or two with bits five and six (vector i // 4, bits 2 (i
% 4)), or, for codes of eight bits, eight plain vectors alone. Codes of two bits lie as those bits
five and six do, and a third bit as a fifth. So a row's four neighbouring codes always sit in one
lane: what byte dot products want.

Scales that are integers take a byte a group and row, or half of one: byte ``row`` of sixteen holds
group 2n (low half) and 2n + 1. Minima lie as codes do, four groups to a row's lane; those of half a
byte lie in two vectors of 16-bit words: bits 4n of word h of a lane in vector v hold group 8v + 2n
+ h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from stillhouse.kernels.grids import FORMS, GRID_OFFSET, GRIDS

PANEL_ROWS = 16
CHUNK = 32
WHOLE_ROW = 0
"""A span of all columns: a panel is then one record, scales and offsets before its chunks."""
VALUE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a weight that is kept as a float, by encoding."""
NONLINEAR = 9  # a code form: 4 bits number one of sixteen values


class ScaleForm(IntEnum):
    """How integer scales are stored; its number is a literal in kernels."""

    BYTES = 0
    SIGNED_BYTES = 1
    HALF_BYTES = 2
    ODD_HALF_BYTES = 3  # n stands for 2n + 1

    @property
    def bits(self) -> int:
        return 8 if self <= ScaleForm.SIGNED_BYTES else 4


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to pack. ``span`` is also the number of columns that share an activation scale.

    ``integer_scales``: a record begins with float16 d[16] (and dmin[16]); scales are integers of
    ``scale_form``, and count ``d_factor`` * d. Otherwise scales (and minima) are floats of
    ``scale_bytes`` each. ``nonlinear``: codes of 4 bits number the sixteen values of IQ4_NL.
    ``grid``: codes are points of that grid with signs, stored as described in grids.py.
    """

    name: str
    code_bits: int
    group: int
    span: int
    offset: int = 0
    integer_scales: bool = False
    scale_form: ScaleForm = ScaleForm.BYTES
    d_factor: float = 1.0
    has_minima: bool = False
    scale_bytes: int = 2
    nonlinear: bool = False
    grid: str = ""

    @property
    def groups(self) -> int:
        return self.span // self.group

    @property
    def offset_shift(self) -> int:
        """log2 of the offset; -1 where there is none."""
        return self.offset.bit_length() - 1

    @property
    def code_form(self) -> int:
        """How a chunk holds its codes, as one literal for kernels: the bits of plain codes, or more
        than 8 (see codes.py).
        """
        if self.grid:
            return FORMS[self.grid]
        return NONLINEAR if self.nonlinear else self.code_bits

    @property
    def chunk_bytes(self) -> int:
        """Bytes of 32 columns of codes, sixteen rows."""
        if self.grid:
            return GRIDS[self.grid].chunk_bytes
        return CHUNK * PANEL_ROWS * self.code_bits // 8

    @property
    def scales_at(self) -> int:
        if not self.integer_scales:
            return 0
        return 64 if self.has_minima else 32

    @property
    def minima_at(self) -> int:
        bits = self.scale_form.bits if self.integer_scales else 8 * self.scale_bytes
        return self.scales_at + self.groups * PANEL_ROWS * bits // 8

    @property
    def codes_at(self) -> int:
        """Where the code chunks begin: behind the scales and as many minima."""
        if self.span == WHOLE_ROW:
            return 2 * PANEL_ROWS * self.scale_bytes
        header = self.minima_at
        if self.has_minima:
            header += header - self.scales_at
        return header

    @property
    def record_bytes(self) -> int:
        return self.codes_at + self.span // CHUNK * self.chunk_bytes

    def packed_bytes(self, rows: int, columns: int) -> int:
        """Size of a packed matrix; rows are filled up to a multiple of sixteen."""
        if self.span == WHOLE_ROW:
            return -(-rows // PANEL_ROWS) * (self.codes_at + columns // CHUNK * self.chunk_bytes)
        return -(-rows // PANEL_ROWS) * (columns // self.span) * self.record_bytes


K2 = Layout("k2", 2, 16, 256, integer_scales=True, scale_form=ScaleForm.HALF_BYTES, has_minima=True)
K3 = Layout("k3", 3, 16, 256, offset=4, integer_scales=True, scale_form=ScaleForm.SIGNED_BYTES)
K4 = Layout("k4", 4, 32, 256, integer_scales=True, has_minima=True)
K5 = Layout("k5", 5, 32, 256, integer_scales=True, has_minima=True)
K6 = Layout("k6", 6, 16, 256, offset=32, integer_scales=True, scale_form=ScaleForm.SIGNED_BYTES)
N4 = Layout(
    "n4", 4, 32, 256, offset=128, integer_scales=True, scale_form=ScaleForm.SIGNED_BYTES,
    nonlinear=True,
)  # fmt: skip
G2XXS, G2XS, G2S, G3XXS, G3S = (
    Layout(
        name, bits, group, 256, offset=GRID_OFFSET, integer_scales=True,
        scale_form=ScaleForm.ODD_HALF_BYTES, d_factor=factor, grid=grid,
    )
    for name, bits, group, factor, grid in (
        ("g2xxs", 2, 32, 1 / 8, "IQ2_XXS"),
        ("g2xs", 2, 16, 1 / 8, "IQ2_XS"),
        ("g2s", 2, 16, 1 / 8, "IQ2_S"),
        ("g3xxs", 3, 32, 1 / 4, "IQ3_XXS"),
        ("g3s", 3, 32, 1.0, "IQ3_S"),
    )
)  # fmt: skip
B4 = Layout("b4", 4, 32, 32, offset=8)
BN4 = Layout("bn4", 4, 32, 32, offset=128, nonlinear=True)
B4M = Layout("b4m", 4, 32, 32, has_minima=True)
B5 = Layout("b5", 5, 32, 32, offset=16)
B5M = Layout("b5m", 5, 32, 32, has_minima=True)
B8 = Layout("b8", 8, 32, 32, offset=128)
WIDE = Layout("wide", 8, 16, 32, offset=128, has_minima=True, scale_bytes=4)
# For model folders: scales that no float16 holds, and one scale for a whole row.
B4F = Layout("b4f", 4, 32, 32, offset=8, scale_bytes=4)
B4MF = Layout("b4mf", 4, 32, 32, has_minima=True, scale_bytes=4)
C8 = Layout("c8", 8, CHUNK, WHOLE_ROW, offset=128, scale_bytes=4)

BY_ENCODING: dict[str, Layout] = {
    "Q2_K": K2,
    "Q3_K": K3,
    "Q4_K": K4,
    "Q5_K": K5,
    "Q6_K": K6,
    "IQ4_XS": N4,
    "IQ2_XXS": G2XXS,
    "IQ2_XS": G2XS,
    "IQ2_S": G2S,
    "IQ3_XXS": G3XXS,
    "IQ3_S": G3S,
    "IQ4_NL": BN4,
    "Q4_0": B4,
    "Q4_1": B4M,
    "Q5_0": B5,
    "Q5_1": B5M,
    "Q8_0": B8,
}
"""Encodings with a layout of their own; any other quantised one is packed as WIDE, exactly but
larger.
"""


def quantized_sections(rows: int, columns: int, span: int) -> tuple[int, ...]:
    """Bytes of quantised activations, a scale for each ``span`` columns, part by part: codes,
    scales, sums of 16 and of 32 codes, split sums. Each part begins on a cache line.
    """
    sizes = (columns, columns // span * 4, columns // 16 * 4, columns // 32 * 4, columns // 32 * 2)
    return tuple(-(-rows * size // 64) * 64 for size in sizes)


def quantized_bytes(rows: int, columns: int, span: int) -> int:
    """All of those parts."""
    return sum(quantized_sections(rows, columns, span))
