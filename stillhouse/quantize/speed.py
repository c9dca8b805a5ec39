"""How fast a loaded model reads and writes, one sequence at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.quantize.reading import batch_of

_PROMPT_TOKENS = 512
_WRITTEN_TOKENS = 48
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second, of the fastest of some rounds: others slow a round down, nobody speeds it
    up.
    """

    prefill_tokens_per_s: float
    decode_tokens_per_s: float


def measure_speed(model: Decoder, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Read 512 tokens at once, then write 48 one by one, three times.

    Raises UsageError for a model whose context is shorter than that.
    """
    context = model.config.context_length
    if context < _PROMPT_TOKENS + _WRITTEN_TOKENS:
        raise UsageError(
            f"speed is measured on {_PROMPT_TOKENS + _WRITTEN_TOKENS} tokens, and the context has"
            f" {context}",
            hint="leave out --speed",
        )
    num_blocks = -(-(_PROMPT_TOKENS + _WRITTEN_TOKENS) // BLOCK_TOKENS)
    kv = KVCache(model.config, num_blocks, "bf16")
    rng = np.random.default_rng(0)
    count = _PROMPT_TOKENS + _WRITTEN_TOKENS
    ids = rng.integers(0, model.config.vocab_size, count, dtype=np.int32)
    prompt = batch_of(ids, 0, _PROMPT_TOKENS, num_blocks, is_scored=False)
    steps: list[Batch] = [
        batch_of(ids, at, at + 1, num_blocks, is_scored=True) for at in range(_PROMPT_TOKENS, count)
    ]
    prefill_s, decode_s = [], []
    for _ in range(_ROUNDS):
        began_at = clock()
        model.forward(prompt, kv)
        read_at = clock()
        for step in steps:
            model.forward(step, kv)
        prefill_s.append(read_at - began_at)
        decode_s.append(clock() - read_at)
    return Speed(_PROMPT_TOKENS / min(prefill_s), _WRITTEN_TOKENS / min(decode_s))
