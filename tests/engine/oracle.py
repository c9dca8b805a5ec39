"""What a request must say: one token after another from its whole history, with no engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stillhouse.engine import Request
from stillhouse.engine.sampler import Sampler
from stillhouse.engine.thinking import ThoughtTracker
from tests.fakes import LogitsOf


class Oracle:
    """The naive twin of a sequence."""

    def __init__(self, request: Request, logits_of: LogitsOf, vocab_size: int) -> None:
        self.history = list(request.prompt_ids)
        self.num_left = request.sampling.max_tokens
        self._sampling = request.sampling
        self._logits_of = logits_of
        self._sampler = Sampler(vocab_size)
        self._rng = np.random.default_rng(request.sampling.seed)
        self._thought = (
            ThoughtTracker(request.thinking, self.num_left) if request.thinking else None
        )

    def next_id(self) -> int:
        """The next token; `num_left` is 0 after the last."""
        token_id = self._thought.forced() if self._thought else None
        if token_id is None:
            logits = self._logits_of(np.array(self.history, np.int32))
            thought = self._thought
            if thought is not None and thought.owes_answer:
                logits = logits.copy()
                logits[list(self._sampling.stop_ids)] = -np.inf
            token_id = self._sampler.sample(logits, self._sampling, self._rng)
            is_owed = thought is not None and thought.is_open and thought.has_reserve
            if thought is not None and is_owed and token_id in self._sampling.stop_ids:
                thought.close("natural")
                token_id = thought.forced() or token_id
        if self._thought:
            self._thought.push(token_id)
        self.history.append(token_id)
        self.num_left = 0 if token_id in self._sampling.stop_ids else self.num_left - 1
        return token_id

    def close_thought(self) -> None:
        if self._thought:
            self._thought.close("client")

    def fork(self, extra_ids: Sequence[int] = (), max_tokens: int | None = None) -> Oracle:
        fork = object.__new__(Oracle)
        num_left = self.num_left - len(extra_ids) if max_tokens is None else max_tokens
        fork.__dict__ = self.__dict__ | {
            "history": [*self.history, *extra_ids],
            "num_left": num_left,
            "_rng": self._rng.spawn(1)[0],
            "_thought": self._thought.fork(extra_ids, num_left) if self._thought else None,
        }
        return fork
