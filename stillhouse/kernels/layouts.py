"""How packed weights lie in memory: panels of sixteen output rows, read from front to back.

A panel is a run of records, each holding ``span`` columns of its sixteen rows:

    scale header | scales of the groups | minima of the groups | code chunks of 32 columns

Codes are unsigned; what a format counts from its middle has an ``offset`` (a power of two) to take
away. In a chunk, the low four bits come first as four vectors of 64 bytes: vector c holds, in dword
lane = row, byte j, column 8c + j (low half) and 8c + 4 + j (high half). Then one vector with the
fifth bits (bit i of byte j: column 4i + j), or two with bits five and six (vector i // 4, bits 2 (i
% 4)), or, for codes of eight bits, eight plain vectors alone. So a row's four neighbouring codes
always sit in one lane: what byte dot products want.
"""

from __future__ import annotations

from dataclasses import dataclass

PANEL_ROWS = 16
CHUNK = 32
WHOLE_ROW = 0
"""A span of all columns: a panel is then one record, scales and offsets before its chunks."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to pack. ``span`` is also the number of columns that share an activation scale.

    ``integer_scales``: a record begins with float16 d[16] (and dmin[16]); scales are a byte a group
    and row. Otherwise scales (and minima) are floats of ``scale_bytes`` each.
    """

    name: str
    code_bits: int
    group: int
    span: int
    offset: int = 0
    integer_scales: bool = False
    signed_scales: bool = False
    has_minima: bool = False
    scale_bytes: int = 2

    @property
    def groups(self) -> int:
        return self.span // self.group

    @property
    def offset_shift(self) -> int:
        """log2 of the offset; -1 where there is none."""
        return self.offset.bit_length() - 1

    @property
    def chunk_bytes(self) -> int:
        """Bytes of 32 columns of codes, sixteen rows."""
        return CHUNK * PANEL_ROWS * self.code_bits // 8

    @property
    def scales_at(self) -> int:
        return 64 if self.integer_scales else 0

    @property
    def minima_at(self) -> int:
        size = 1 if self.integer_scales else self.scale_bytes
        return self.scales_at + self.groups * PANEL_ROWS * size

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


K4 = Layout("k4", 4, 32, 256, integer_scales=True, has_minima=True)
K5 = Layout("k5", 5, 32, 256, integer_scales=True, has_minima=True)
K6 = Layout("k6", 6, 16, 256, offset=32, integer_scales=True, signed_scales=True)
B4 = Layout("b4", 4, 32, 32, offset=8)
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
    "Q4_K": K4,
    "Q5_K": K5,
    "Q6_K": K6,
    "Q4_0": B4,
    "Q4_1": B4M,
    "Q5_0": B5,
    "Q5_1": B5M,
    "Q8_0": B8,
}
"""Encodings with a layout of their own; any other quantised one is packed as WIDE, exactly but
larger.
"""
