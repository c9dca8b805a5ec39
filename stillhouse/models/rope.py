"""Cosines and sines of rotary position embedding, filled in as contexts grow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.kernels.memory import allocate
from stillhouse.models.config import RopeConfig

_STEP = 1024  # positions filled in at a time


def angles_per_position(
    rope: RopeConfig, factors: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float64]:
    """Radians that each pair turns for one position: float64 (dim / 2,).

    ``factors``: divisors for each pair, as Llama 3's files hold them (tensor
    ``rope_freqs.weight``). YaRN as in arXiv:2309.00071: fast pairs keep their speed, slow ones are
    divided, those between are mixed. Llama 3's own rule (transformers,
    ``_compute_llama3_parameters``) does the same with other limits.
    """
    pairs = np.arange(rope.dim // 2)
    angles = rope.base ** (-2.0 * pairs / rope.dim)
    if factors is not None:
        angles = angles / factors.astype(np.float64)
    if rope.scaling == "linear":
        angles = angles / rope.factor
    if rope.scaling == "yarn":
        # The pair that makes ``turns`` full turns in the original context.
        turns = np.array([rope.beta_fast, rope.beta_slow])
        at = rope.dim * np.log(rope.original_context / (turns * 2 * np.pi))
        low, high = at / (2 * np.log(rope.base))
        low, high = max(np.floor(low), 0.0), min(np.ceil(high), rope.dim - 1.0)
        slow = np.clip((pairs - low) / max(high - low, 0.001), 0.0, 1.0)
        angles = angles / rope.factor * slow + angles * (1 - slow)
    if rope.scaling == "llama3":
        turned = rope.original_context * angles / (2 * np.pi)
        fast = np.clip((turned - rope.low_turns) / (rope.high_turns - rope.low_turns), 0.0, 1.0)
        angles = angles / rope.factor * (1 - fast) + angles * fast
    return np.asarray(angles, np.float64)


class RopeTable:
    """float32 (positions, dim / 2) of cosines and of sines, at fixed addresses.

    Address space is taken for ``max_positions``; memory only for what ``reach`` has filled.
    """

    def __init__(
        self, rope: RopeConfig, max_positions: int, factors: npt.NDArray[np.float32] | None = None
    ) -> None:
        self._angles = angles_per_position(rope, factors)
        self._magnitude = 1.0
        if rope.scaling == "yarn":
            self._magnitude = rope.attention_factor * (1 + 0.1 * np.log(rope.factor))
        shape = (max_positions, rope.dim // 2)
        size_bytes = max_positions * (rope.dim // 2) * 4
        self.cosines = allocate(size_bytes).view(np.float32).reshape(shape)
        self.sines = allocate(size_bytes).view(np.float32).reshape(shape)
        self._filled = 0

    def reach(self, position: int) -> None:
        """Fill the table up to ``position`` and some way on."""
        assert position < len(self.cosines), f"position {position} is outside the context"
        while self._filled <= position:
            last = min(self._filled + _STEP, len(self.cosines))
            turns = np.arange(self._filled, last)[:, None] * self._angles
            self.cosines[self._filled : last] = np.cos(turns) * self._magnitude
            self.sines[self._filled : last] = np.sin(turns) * self._magnitude
            self._filled = last
