"""The recipes that make a folder: what becomes of the matrices of its layers.

Everything else, the table of embeddings and the head included, stays BF16. Source: llm-compressor's
published recipes and the presets of compressed-tensors (W8A8, W4A16, FP8_DYNAMIC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Literal

from stillhouse.errors import UsageError

Rounding = Literal["nearest", "gptq"]
Activations = Literal["as they are", "int8", "fp8"]


@dataclass(frozen=True, slots=True)
class FolderScheme:
    """How a folder's matrices are quantised.

    Attributes:
        name: the recipe's.
        bits: of a code; 16 where nothing is quantised, 8 with `is_float` for E4M3.
        group_columns: columns that share a scale; 0 for a whole row.
        rounding: each number for itself, or the columns one after another, each making up for the
            errors of those before it.
        activations: what the engine that runs it rounds them to, with a scale a token.
        smoothing: SmoothQuant's strengths, of which each place takes the one that loses least; none
            where nothing is smoothed.
        dampening: what GPTQ adds to the Hessian's diagonal, as a share of the diagonal's mean.
    """

    name: str
    bits: int
    is_float: bool = False
    group_columns: int = 0
    rounding: Rounding = "nearest"
    activations: Activations = "as they are"
    smoothing: tuple[float, ...] = ()
    dampening: float = 0.01

    @property
    def is_quantized(self) -> bool:
        return self.bits < 16

    @property
    def needs_text(self) -> bool:
        """Whether it looks at what the model computes from a text."""
        return self.rounding == "gptq" or bool(self.smoothing)

    @property
    def is_packed(self) -> bool:
        """Whether codes stand in words of 32 bits."""
        return not self.is_float and self.activations == "as they are" and self.is_quantized


# llm-compressor's recipes have 0.8 and 0.9 everywhere, the paper 0.5; 0.8 is too much for some.
_STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)

SCHEMES: Mapping[str, FolderScheme] = {
    scheme.name: scheme
    for scheme in (
        FolderScheme("bf16", 16),
        FolderScheme("fp8", 8, is_float=True, activations="fp8"),
        FolderScheme("w8a8", 8, rounding="gptq", activations="int8", smoothing=_STRENGTHS),
        FolderScheme("w8a8-rtn", 8, activations="int8"),
        FolderScheme("w4a16", 4, group_columns=128, rounding="gptq"),
        FolderScheme("w4a16-rtn", 4, group_columns=128),
    )
}


def folder_scheme(name: str, *, group_columns: int | None = None) -> FolderScheme:
    """The recipe of that name, with groups of another size if asked. Raises UsageError."""
    if name not in SCHEMES:
        raise UsageError(
            f"'{name}' is no recipe for a folder", hint=f"there are {', '.join(SCHEMES)}"
        )
    scheme = SCHEMES[name]
    if group_columns is None:
        return scheme
    if not scheme.group_columns:
        raise UsageError(
            f"{name} has no groups of columns, and a group of {group_columns} is asked"
        )
    if group_columns < 32 or group_columns % 32:
        raise UsageError(f"a group of {group_columns} columns is no multiple of 32")
    return replace(scheme, group_columns=group_columns)


def check_columns(scheme: FolderScheme, columns_of: Mapping[str, int]) -> None:
    """Raises UsageError for the first matrix whose rows do not divide into groups."""
    group = scheme.group_columns
    for name, columns in columns_of.items():
        if group and columns % group:
            fits = gcd(*columns_of.values(), group)
            hint = f"--group {fits} fits all of them" if fits >= 32 else None
            raise UsageError(
                f"{name} has rows of {columns}, and {columns} is no multiple of {scheme.name}'s"
                f" groups of {group}",
                hint=hint,
            )
