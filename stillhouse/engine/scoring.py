"""How probable given tokens are: of a prompt, or of what a fork begins with.

Where a sequence has computed the row before a token that is known, the row's logits say it. So a
text costs its prefill, and one that goes on from a shared prefix only what comes after that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.request import Score, TokenEvent
from stillhouse.engine.sampler import check_finite, logprobs_of
from stillhouse.engine.sequence import Sequence


def score(sequence: Sequence, logits: NDArray[np.float32]) -> None:
    """Scores known tokens from `score_at` on. `logits`: float32 (rows, vocab), of the positions
    before it and after; a last row that no known token follows stays for choosing one.
    """
    num_scored = min(len(logits), sequence.num_tokens - sequence.score_at)
    num_best = sequence.sampling.logprobs or 0
    for row in logits[:num_scored]:
        check_finite(row.max())
        token_id = int(sequence.token_ids[sequence.score_at])
        sequence.scores.append(Score(token_id, *logprobs_of(row, token_id, num_best)))
        sequence.score_at += 1


def end_of_scores(sequence: Sequence) -> TokenEvent:
    """The only event of a sequence to which no token is added."""
    return TokenEvent(
        sequence.id,
        token_id=None,
        index=sequence.num_generated,
        in_thought=False,
        finish_reason="length",
        queue_s=sequence.queue_s,
        phase=sequence.phase,
        cached_tokens=sequence.num_cached,
        scores=sequence.take_scores(),
    )
