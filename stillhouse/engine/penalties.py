"""What makes tokens more or less likely than the model says: penalties for repeats, biases."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from copy import copy

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.sampler import SamplingParams

_REPEAT_TOKENS = 64  # that `repeat_penalty` looks back on, as llama.cpp's and Ollama's default


class Penalties:
    """Follows one sequence. In this order, before the temperature:

    1. `repeat_penalty` divides the positive and multiplies the negative logits of the last 64
       tokens, those of the prompt included (Keskar et al. 2019, section 4.1).
    2. `presence_penalty` is taken from the logits of tokens generated so far, `frequency_penalty`
       times their count (OpenAI's definition).
    3. `logit_bias` is added.
    """

    def __init__(self, params: SamplingParams, prompt_ids: Iterable[int]) -> None:
        self._params = params
        self._counts: Counter[int] = Counter()
        self._recent = deque(prompt_ids, maxlen=_REPEAT_TOKENS)
        bias = dict(params.logit_bias)
        self._bias_ids = np.array([*bias], np.intp)
        self._biases = np.array([*bias.values()], np.float32)

    def fork(self, extra_ids: Iterable[int]) -> Penalties:
        """One for a sequence that goes on from here."""
        fork = copy(self)
        fork._counts, fork._recent = self._counts.copy(), self._recent.copy()
        for token_id in extra_ids:
            fork.push(token_id)
        return fork

    def push(self, token_id: int) -> None:
        """Counts a generated token."""
        self._counts[token_id] += 1
        self._recent.append(token_id)

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Changed logits, float32 (vocab,), in memory of their own."""
        params = self._params
        changed = logits.copy()
        if params.repeat_penalty != 1:
            ids = np.array([*set(self._recent)], np.intp)
            near = changed[ids]
            factor = np.float32(params.repeat_penalty)
            changed[ids] = np.where(near > 0, near / factor, near * factor)
        if self._counts and (params.presence_penalty or params.frequency_penalty):
            ids = np.fromiter(self._counts, np.intp, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            changed[ids] -= np.float32(params.presence_penalty) + counts * np.float32(
                params.frequency_penalty
            )
        changed[self._bias_ids] += self._biases
        return changed
