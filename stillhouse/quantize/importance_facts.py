"""What a quantiser is told of importance, and what the file says of where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Importance = Mapping[str, NDArray[np.float32]]
"""By GGUF's name of a matrix: float32 (columns,), how much an error in each column weighs."""


@dataclass(frozen=True, slots=True)
class ImportanceFacts:
    """What `quantize.imatrix.*` says, as llama-quantize writes it."""

    file: str
    dataset: str
    num_entries: int
    num_chunks: int
