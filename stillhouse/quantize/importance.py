"""Importance matrices: how much an error in each column of a matrix weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.quantize.importance_facts import Importance, ImportanceFacts
from stillhouse.quantize.texts import WINDOW_TOKENS


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one matrix was multiplied with.

    Attributes:
        mean_squares: float32 (columns,), finite and not negative; ones where no row came by.
        rows: how many.
    """

    mean_squares: NDArray[np.float32]
    rows: int


@dataclass(frozen=True, slots=True)
class ImportanceMatrix:
    """The mean squares of the inputs of a model's matrices, while it read some texts.

    Attributes:
        inputs: by GGUF's name of the matrix.
        num_windows, window_tokens: how the texts were cut.
        texts: what the texts are called, files as a rule.
    """

    inputs: Mapping[str, Inputs]
    num_windows: int
    window_tokens: int = WINDOW_TOKENS
    texts: tuple[str, ...] = ()

    @property
    def weights(self) -> Importance:
        """What a quantiser asks for."""
        return {name: one.mean_squares for name, one in self.inputs.items()}

    def facts(self, file: str) -> ImportanceFacts:
        """What a file quantised with it says of it; ``file`` is where it is kept."""
        return ImportanceFacts(
            file=file,
            dataset=", ".join(self.texts),
            num_entries=len(self.inputs),
            num_chunks=self.num_windows,
        )
