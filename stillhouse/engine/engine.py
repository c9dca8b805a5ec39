"""Token ids in, token ids out: continuous batching over one model and one paged cache.

The engine knows no text: templates, tags and stop strings live above it. It has no thread and no
clock of its own; whoever owns it calls `step` until there is no more work.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Ids
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.assembly import BatchAssembly
from stillhouse.engine.blocks import BlockPool
from stillhouse.engine.sampler import Sampler, best_logprobs, logprob_of
from stillhouse.engine.scheduler import Scheduled, Scheduler
from stillhouse.engine.scoring import score
from stillhouse.engine.sequence import FinishReason, Request, Sequence, TokenEvent
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.models.batch import BLOCK_TOKENS, Batch
from stillhouse.models.config import ModelConfig


class Cache(Protocol):
    """What the engine needs to know of a KV cache: how many blocks it has."""

    @property
    def num_blocks(self) -> int: ...


CacheT = TypeVar("CacheT", bound=Cache)
CacheT_contra = TypeVar("CacheT_contra", bound=Cache, contravariant=True)


class Model(Protocol[CacheT_contra]):
    """What the engine needs of a model: its shape, and a forward pass of up to `max_rows` rows."""

    @property
    def config(self) -> ModelConfig: ...

    def forward(self, batch: Batch, kv: CacheT_contra) -> NDArray[np.float32]:
        """Float32 (O, vocab) logits, valid until the next call."""
        ...


class Engine(Generic[CacheT]):
    """Runs requests together, each with the result that it would have alone."""

    def __init__(
        self,
        model: Model[CacheT],
        kv: CacheT,
        *,
        context_tokens: int | None = None,
        max_rows: int = 512,
        max_sequences: int = 64,
    ) -> None:
        """`context_tokens` bounds prompt and output of one request together; by default it is what
        model and cache allow. `max_rows` is a step's token budget.
        """
        most = min(model.config.context_length, kv.num_blocks * BLOCK_TOKENS)
        self.context_tokens = most if context_tokens is None else min(context_tokens, most)
        self._model = model
        self._kv = kv
        self._pool = BlockPool(kv.num_blocks)
        self._scheduler = Scheduler(self._pool, max_rows=max_rows, max_sequences=max_sequences)
        self._max_blocks = -(-self.context_tokens // BLOCK_TOKENS)
        self._assembly = BatchAssembly(
            max_rows=max_rows, max_sequences=max_sequences, max_blocks=self._max_blocks
        )
        self._sampler = Sampler(model.config.vocab_size)
        self._sequences: dict[int, Sequence] = {}
        self._cancelled: list[TokenEvent] = []
        self._next_id = 0

    @property
    def has_work(self) -> bool:
        """Whether another `step` would do or tell anything."""
        return self._scheduler.has_work or bool(self._cancelled)

    @property
    def num_unused_blocks(self) -> int:
        """Blocks that no request holds; all of them when nothing runs."""
        return self._pool.num_unused

    def submit(self, request: Request) -> int:
        """Queues a request and gives its number. Raises ContextTooLong if it could never run, and
        UsageError for an empty prompt or ids outside the vocabulary.
        """
        self._check(request.prompt_ids)
        wanted = len(request.prompt_ids) + request.sampling.max_tokens
        if wanted > self.context_tokens:
            raise ContextTooLong(
                f"{len(request.prompt_ids)} prompt tokens and up to {request.sampling.max_tokens}"
                f" more are {wanted}, but the context holds {self.context_tokens}",
                hint="shorten the prompt, lower the maximum of new tokens, or raise the context",
            )
        sequence = Sequence(self._next_id, request, self._max_blocks)
        self._next_id += 1
        self._sequences[sequence.id] = sequence
        self._scheduler.add(sequence)
        return sequence.id

    def cancel(self, request_id: int) -> None:
        """Ends a request in any phase and frees its blocks now; the next step's events tell of it.
        Does nothing if it has already ended.
        """
        sequence = self._sequences.pop(request_id, None)
        if sequence is None:
            return
        self._scheduler.remove(sequence)
        in_thought = sequence.thought is not None and sequence.thought.is_open
        event = TokenEvent(
            request_id,
            token_id=None,
            index=sequence.num_tokens - sequence.num_prompt,
            in_thought=in_thought,
            finish_reason="cancelled",
            thinking_end="client" if in_thought else None,
            cached_tokens=sequence.num_cached,
        )
        self._cancelled.append(event)

    def step(self) -> list[TokenEvent]:
        """Computes one batch; returns at most one token for each request in it."""
        told, self._cancelled = self._cancelled, []
        scheduled = self._scheduler.schedule()
        if scheduled:
            logits = self._model.forward(self._assembly.assemble(scheduled), self._kv)
            told += self._postprocess(scheduled, logits)
        return told

    def correct_thought(self, request_id: int, *, is_open: bool) -> None:
        """Tells the budget what only the text showed: a thought opened or closed by a tag that
        the model spelled in other ids than those of its `ThinkingLimit`.
        """
        sequence = self._sequences.get(request_id)
        if sequence is not None and sequence.thought is not None:
            sequence.thought.correct(is_open)

    def generate(self, request: Request) -> Iterator[TokenEvent]:
        """Submits a request now, and runs it as `follow` says."""
        return self.follow(self.submit(request))

    def follow(self, request_id: int) -> Iterator[TokenEvent]:
        """Steps until a request has ended, and cancels it if the caller stops listening before.

        Other requests advance with it, but their events are lost: for owners of one request.
        """
        try:
            while self.has_work:
                for event in self.step():
                    if event.request_id == request_id:
                        yield event
                        if event.finish_reason is not None:
                            return
        finally:
            self.cancel(request_id)

    def score(self, token_ids: Ids[int]) -> NDArray[np.float32]:
        """Log-probability of each token after the first, given those before it: float32 (n - 1,).

        For when nothing else runs. Raises ContextTooLong if the tokens do not fit.
        """
        self._check(token_ids)
        if len(token_ids) > self.context_tokens:
            raise ContextTooLong(
                f"{len(token_ids)} tokens to score, but the context holds {self.context_tokens}",
                hint="score them in windows, or raise the context",
            )
        assert not self.has_work
        return score(self._model.forward, self._kv, self._pool, np.asarray(token_ids, np.int32))

    def _check(self, token_ids: Ids[int]) -> None:
        vocab_size = self._model.config.vocab_size
        if not token_ids:
            raise UsageError("the prompt is empty: at least one token is needed")
        if not 0 <= min(token_ids) <= max(token_ids) < vocab_size:
            raise UsageError(f"a token id of the prompt is not in the vocabulary of {vocab_size}")

    def _postprocess(
        self, scheduled: list[Scheduled], logits: NDArray[np.float32]
    ) -> list[TokenEvent]:
        """Counts the rows as computed, and chooses a token for each sequence that has caught up."""
        events: list[TokenEvent] = []
        for sequence, num_rows in scheduled:
            sequence.advance(self._pool, num_rows)
            if sequence.num_to_compute == 0:
                event = self._choose(sequence, logits[len(events)])
                events.append(event)
                if event.finish_reason is not None:
                    del self._sequences[sequence.id]
                    self._scheduler.remove(sequence)
        return events

    def _choose(self, sequence: Sequence, logits: NDArray[np.float32]) -> TokenEvent:
        params, thought = sequence.sampling, sequence.thought
        token_id = thought.forced() if thought is not None else None
        if token_id is None:
            token_id = self._sampler.sample(logits, params, sequence.rng)
        index = sequence.num_tokens - sequence.num_prompt
        sequence.append(token_id)
        finish_reason = _finish_reason(sequence, token_id)
        in_thought, thinking_end = False, None
        if thought is not None:
            in_thought, thinking_end = thought.push(token_id)
            if finish_reason is not None and thought.is_open:
                thinking_end = "natural" if finish_reason == "stop" else "context"
        return TokenEvent(
            sequence.id,
            token_id,
            index,
            in_thought,
            finish_reason,
            thinking_end,
            None if params.logprobs is None else logprob_of(logits, token_id),
            () if params.logprobs is None else best_logprobs(logits, params.logprobs),
            sequence.num_cached,
        )


def _finish_reason(sequence: Sequence, token_id: int) -> FinishReason | None:
    if token_id in sequence.sampling.stop_ids and not sequence.sampling.ignore_eos:
        return "stop"
    if sequence.num_tokens == len(sequence.token_ids):
        return "length"
    return None
