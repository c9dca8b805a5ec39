"""The next token of a sequence: who has a say in it beside the model, and what it ends.

In this order: a closing tag that is being forced; penalties; the constraint, outside of thoughts;
an answer that is owed behind a thought, which bars stop ids until it has begun; the sampler. An
answer's constraint is armed by the end of the thought. Where no thought is open at the start, it
counts from the first token, except that the model may still open a thought with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.request import FinishReason, TokenEvent
from stillhouse.engine.sampler import Sampler, logprobs_of
from stillhouse.engine.sequence import Sequence


def choose(sequence: Sequence, logits: NDArray[np.float32], sampler: Sampler) -> TokenEvent:
    """Appends a token to a sequence that has caught up. `logits`: float32 (vocab,)."""
    params, thought = sequence.sampling, sequence.thought
    token_id = _choose_id(sequence, logits, sampler)
    index = sequence.num_generated
    sequence.append(token_id)
    in_thought, thinking_end = False, None
    if thought is not None:
        in_thought, thinking_end = thought.push(token_id)
    finish_reason = _finish_reason(sequence, token_id)
    if finish_reason is None and sequence.loops is not None:
        finish_reason = _break_loop(sequence, token_id, has_ended=thinking_end is not None)
    if finish_reason is not None and thought is not None and thought.is_open:
        thinking_end = "natural" if finish_reason == "stop" else thought.end_when_cut
    logprob: float | None = None
    best: tuple[tuple[int, float], ...] = ()
    if params.logprobs is not None:
        logprob, best = logprobs_of(logits, token_id, params.logprobs)
    return TokenEvent(
        sequence.id,
        token_id,
        index,
        in_thought,
        finish_reason,
        thinking_end,
        logprob,
        best,
        cached_tokens=sequence.num_cached,
        queue_s=sequence.queue_s,
        scores=sequence.take_scores(),
    )


def _choose_id(sequence: Sequence, logits: NDArray[np.float32], sampler: Sampler) -> int:
    thought, constraint, params = sequence.thought, sequence.constraint, sequence.sampling
    forced = None if thought is None else thought.forced()
    if forced is not None:
        return forced
    if sequence.penalties is not None:
        logits = sequence.penalties.apply(logits)
    is_open = thought is not None and thought.is_open
    opening = () if thought is None or sequence.num_generated else thought.opening_ids
    if constraint is not None and not is_open:
        allowed = constraint.allowed()
        allowed[list(opening)] = True
        masked = np.full_like(logits, -np.inf)
        ids = np.flatnonzero(allowed)  # may know fewer tokens than the model has rows
        masked[ids] = logits[ids]
        logits = masked
    if thought is not None and thought.owes_answer and not params.ignore_eos:
        logits = _without(logits, params.stop_ids)
    token_id = sampler.sample(logits, params, sequence.rng)
    if constraint is not None and not is_open and token_id not in opening:
        constraint.push(token_id)
    ends_early = is_open and token_id in params.stop_ids and not params.ignore_eos
    if ends_early and thought is not None and thought.has_reserve:
        thought.close("natural")  # the answer is still owed
        forced = thought.forced()
        assert forced is not None
        return forced
    return token_id


def _without(logits: NDArray[np.float32], ids: frozenset[int]) -> NDArray[np.float32]:
    """Logits in which these ids cannot be drawn, unless there is nothing else."""
    others = logits.copy()
    others[[i for i in ids if i < len(others)]] = -np.inf
    return others if np.isfinite(others.max()) else logits


def _break_loop(sequence: Sequence, token_id: int, *, has_ended: bool) -> FinishReason | None:
    """Closes a thought that goes in circles; an answer that does so ends."""
    loops, thought = sequence.loops, sequence.thought
    assert loops is not None
    if has_ended:
        loops.restart()
    elif loops.push(token_id):
        if thought is None or not thought.is_open:
            return "loop"
        thought.close("loop")
    return None


def _finish_reason(sequence: Sequence, token_id: int) -> FinishReason | None:
    if token_id in sequence.sampling.stop_ids and not sequence.sampling.ignore_eos:
        return "stop"
    if sequence.is_full:
        return "length"
    return None
