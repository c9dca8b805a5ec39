"""Scales and codes of a matrix: what is shared by how many columns, and which numbers it allows.

Source: compressed-tensors, quantization/utils/helpers.py (`calculate_qparams`): a symmetric scale
is the largest size over (2^bits - 1) / 2, or over 448 for E4M3. Scales are rounded to BF16, as
files hold them, before any code is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.encodings import by_name
from stillhouse.encodings.float8 import f8_e4m3_bits
from stillhouse.encodings.plain import round_to

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]

_F8_MAX = 448.0
_SMALLEST = 2.0**-100  # a scale for numbers that are all 0; far from BF16's smallest
_SHRINKS = np.linspace(0.5, 1.05, 23, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class RoundedMatrix:
    """A matrix as codes and scales: w = code * scale.

    Attributes:
        codes: (rows, columns), int8, or the bytes of E4M3 as uint8.
        scales: float32 (rows, groups), each a BF16.
    """

    codes: Codes
    scales: Floats

    def values(self) -> Floats:
        """The numbers that it stands for."""
        codes: npt.NDArray[Any] = self.codes
        if codes.dtype == np.uint8:
            codes = by_name("F8_E4M3").decode(self.codes.view(np.uint8))
        rows, groups = self.scales.shape
        spread = codes.reshape(rows, groups, -1).astype(np.float32) * self.scales[:, :, np.newaxis]
        return np.asarray(spread.reshape(rows, -1), np.float32)


def code_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest code."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def as_scales(scales: npt.NDArray[np.floating[Any]]) -> Floats:
    """Scales as files hold them; one that would be 0 becomes tiny, so that all can divide."""
    single = scales.astype(np.float32)
    tiny = np.abs(single) < _SMALLEST
    return round_to("BF16", np.where(tiny, np.float32(_SMALLEST), single))


def largest_scales(weights: Floats, bits: int, groups: int) -> Floats:
    """Scales with which the largest number of each group is half a code beyond the range's end."""
    sizes = np.abs(weights).reshape(len(weights), groups, -1).max(axis=2)
    return as_scales(sizes / np.float32((2**bits - 1) / 2))


def best_scales(weights: Floats, importance: Floats, bits: int, groups: int) -> Floats:
    """Of smaller and smaller scales those with the smallest squared error, of either sign.

    ``importance``: float32 (columns,), what a column's squared error is multiplied by. The
    negative ones let the largest number have the code -2^(bits - 1), whose size no positive has.
    """
    rows = len(weights)
    lowest, highest = code_range(bits)
    grouped = weights.reshape(rows, groups, -1)
    by_column = importance.reshape(groups, -1)
    at_largest = np.abs(grouped).argmax(axis=2)[:, :, np.newaxis]
    largest = np.take_along_axis(grouped, at_largest, axis=2)[:, :, 0]
    full = -largest / np.float32(-lowest)  # code `lowest` for the largest number
    tried = [largest_scales(weights, bits, groups)]
    tried += [as_scales(full * (sign * shrink)) for shrink in _SHRINKS for sign in (1, -1)]
    best, least = tried[0], np.full(full.shape, np.inf, np.float32)
    for scales in tried:
        wide = scales[:, :, np.newaxis]
        errors = grouped / wide
        np.clip(np.rint(errors, out=errors), lowest, highest, out=errors)
        errors *= wide
        errors -= grouped
        errors *= errors
        loss = np.einsum("rgc,gc->rg", errors, by_column)
        better = loss < least
        best = np.where(better, scales, best)
        least = np.where(better, loss, least)
    return best


def nearest_codes(weights: Floats, scales: Floats, bits: int) -> npt.NDArray[np.int8]:
    """The code next to each number, ties to even."""
    rows, groups = scales.shape
    ratios = weights.reshape(rows, groups, -1) / scales[:, :, np.newaxis]
    codes = np.clip(np.rint(ratios), *code_range(bits))
    return np.asarray(codes.reshape(weights.shape), np.int8)


def nearest(weights: Floats, bits: int, group_columns: int) -> RoundedMatrix:
    """Integers, each number rounded for itself; ``group_columns`` 0 for a scale a row."""
    groups = weights.shape[1] // (group_columns or weights.shape[1])
    scales = largest_scales(weights, bits, groups)
    return RoundedMatrix(nearest_codes(weights, scales, bits), scales)


def nearest_float8(weights: Floats) -> RoundedMatrix:
    """E4M3 with a scale a row."""
    sizes = np.abs(weights).max(axis=1, keepdims=True)
    scales = as_scales(sizes / np.float32(_F8_MAX))
    return RoundedMatrix(f8_e4m3_bits(weights / scales), scales)
