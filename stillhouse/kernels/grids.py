"""The grids of the "I" formats as kernels use them: points named by an index, signs beside it.

In a chunk of 32 columns (see layouts.py), a row has four indices of eight columns each, or eight of
four. ``vectors`` vectors of 64 bytes hold their low eight bits: index 4v + i in byte i of the row's
lane of vector v. One more holds the signs: eight bits for the index of that byte, or four for
vector 0's (low half) and four for vector 1's, the first column's lowest. Then, for each vector, the
bits of its indices above the eighth: words of 64 bits, one bit a byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.encodings import i_quant_grids

GRID_OFFSET = 64
"""What codes have more than values: magnitudes go up to 62, and so codes have seven bits."""


@dataclass(frozen=True, slots=True)
class Grid:
    """``points()``: (2 ** index_bits, columns), from ``levels``."""

    points: Callable[[], npt.NDArray[np.int8]]
    index_bits: int
    columns: int

    @property
    def vectors(self) -> int:
        return 8 // self.columns

    @property
    def high_bits(self) -> int:
        return self.index_bits - 8

    @property
    def signs_at(self) -> int:
        """Where in a chunk the signs lie."""
        return 64 * self.vectors

    def high_bit_at(self, vector: int, bit: int) -> int:
        """Where bit 8 + ``bit`` of a vector's indices lies."""
        return self.signs_at + 64 + 8 * (vector * self.high_bits + bit)

    @property
    def chunk_bytes(self) -> int:
        return self.high_bit_at(self.vectors, 0)


GRIDS: dict[str, Grid] = {
    "IQ2_XXS": Grid(i_quant_grids.iq2_xxs, 8, 8),
    "IQ2_XS": Grid(i_quant_grids.iq2_xs, 9, 8),
    "IQ2_S": Grid(i_quant_grids.iq2_s, 10, 8),
    "IQ3_XXS": Grid(i_quant_grids.iq3_xxs, 8, 4),
    "IQ3_S": Grid(i_quant_grids.iq3_s, 9, 4),
}
FORMS: dict[str, int] = {name: number for number, name in enumerate(GRIDS, start=16)}
"""Code forms: the literals of kernels (see Layout.code_form)."""


def of_form(form: int) -> Grid | None:
    """The grid of a code form; None for codes that stand in their bits."""
    return next((GRIDS[name] for name, number in FORMS.items() if number == form), None)
