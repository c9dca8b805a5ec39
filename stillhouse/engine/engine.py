"""Token ids in, token ids out: continuous batching over one model and one paged cache.

The engine knows no text: templates, tags and stop strings live above it. It has no thread and no
clock of its own; whoever owns it calls `step` until there is no more work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Ids
from dataclasses import replace
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.assembly import BatchAssembly
from stillhouse.engine.blocks import BlockPool
from stillhouse.engine.choosing import choose
from stillhouse.engine.model import CacheT, Model
from stillhouse.engine.request import Request, TokenEvent
from stillhouse.engine.sampler import Sampler, SamplingParams
from stillhouse.engine.scheduler import Admission, Scheduled, Scheduler
from stillhouse.engine.scoring import end_of_scores, score
from stillhouse.engine.sequence import Sequence
from stillhouse.engine.stats import EngineStats
from stillhouse.errors import ContextTooLong, UsageError
from stillhouse.models.batch import BLOCK_TOKENS


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
        admission: Admission = "worst_case",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`context_tokens` bounds prompt and output of one request together; by default it is what
        model and cache allow. `max_rows` is a step's token budget. With `admission` "overcommit"
        more requests run at once, and some are preempted and computed again when memory runs out.
        The `clock` (seconds) is only looked at to tell how long requests wait.
        """
        most = min(model.config.context_length, kv.num_blocks * BLOCK_TOKENS)
        self.context_tokens = most if context_tokens is None else min(context_tokens, most)
        self._clock = clock
        self._model = model
        self._kv = kv
        self._pool = BlockPool(kv.num_blocks)
        self._scheduler = Scheduler(
            self._pool, max_rows=max_rows, max_sequences=max_sequences, admission=admission
        )
        self._assembly = BatchAssembly(
            max_rows=max_rows,
            max_sequences=max_sequences,
            max_blocks=-(-self.context_tokens // BLOCK_TOKENS),
        )
        self._sampler = Sampler(model.config.vocab_size)
        self._sequences: dict[int, Sequence] = {}
        self._cancelled: list[TokenEvent] = []
        self._next_id = 0
        self._num_steps = self._num_rows = self._num_generated = 0

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
        self.check(request)
        sequence = Sequence.of_request(self._new_id(), request, self._clock())
        self._sequences[sequence.id] = sequence
        self._scheduler.add(sequence)
        return sequence.id

    def submit_samples(self, request: Request, seeds: Ids[int | None]) -> list[int]:
        """Requests that differ by their seeds alone, one for each; their prompt is computed once.

        Each says what it would say if it had been submitted by itself. Raises as `submit`.
        """
        first = replace(request, sampling=replace(request.sampling, seed=seeds[0]))
        parent = self._sequences[self.submit(first)]
        most = len(parent.token_ids)
        return [parent.id, *(self._fork(parent, (), most, seed=seed) for seed in seeds[1:])]

    def check(self, request: Request) -> None:
        """Raises what `submit` would raise; reads nothing that changes."""
        self._check_ids(request.prompt_ids, "the prompt")
        if request.sampling.logit_bias:
            self._check_ids([i for i, _ in request.sampling.logit_bias], "logit_bias")
        num_prompt, max_tokens = request.num_prompt, request.sampling.max_tokens
        self._check_room(num_prompt + max_tokens, f"{num_prompt} prompt tokens", max_tokens)

    def fork(
        self,
        request_id: int,
        num_forks: int,
        *,
        extra_ids: Ids[int] = (),
        max_tokens: int | None = None,
        is_scored: bool = False,
    ) -> list[int]:
        """Requests that go on from what this one has so far, each with a generator of its own.

        They begin with `extra_ids`, if any, and run on for `max_tokens`, or for what is left of the
        parent's. They share all that is computed: one forked before its parent's first token waits
        for the prompt to be computed, once. One that finds no room waits like a request. With
        `is_scored` the first event tells how probable `extra_ids` were, and `max_tokens` may be 0.
        Raises UsageError if the parent has ended or nothing is left to generate, ContextTooLong if
        they could never run.
        """
        parent = self._sequences.get(request_id)
        if parent is None:
            raise UsageError(f"request {request_id} has ended, and cannot be forked any more")
        if parent.is_full:
            raise UsageError(f"request {request_id} only scores, and goes on to nothing")
        known = parent.num_tokens + len(extra_ids)
        most = parent.most_tokens if max_tokens is None else known + max_tokens
        if extra_ids:
            self._check_ids(extra_ids, "what a fork begins with")
        least = known if is_scored and extra_ids else known + 1
        if most < least:
            raise UsageError(
                f"{len(extra_ids)} tokens to begin with, and {most - parent.num_tokens} are left",
                hint="give max_tokens, or begin with less",
            )
        self._check_room(most, f"{known} tokens of a fork", most - known)
        return [self._fork(parent, extra_ids, most, is_scored=is_scored) for _ in range(num_forks)]

    def preempt(self, request_id: int) -> None:
        """Takes back a running request's blocks now; it waits in the place of its arrival, and goes
        on as if nothing had happened once its tokens are computed again.
        """
        sequence = self._sequences.get(request_id)
        if sequence is not None and self._scheduler.is_running(sequence):
            self._scheduler.preempt(sequence)

    def close_thought(self, request_id: int) -> None:
        """Forces the closing tag of the thought that a request is in, from its next token on. Does
        nothing if no thought is open.
        """
        sequence = self._sequences.get(request_id)
        if sequence is not None and sequence.thought is not None:
            sequence.thought.close("client")

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
            index=sequence.num_generated,
            in_thought=in_thought,
            finish_reason="cancelled",
            thinking_end="client" if in_thought else None,
            cached_tokens=sequence.num_cached,
            queue_s=sequence.queue_s,
            phase=sequence.phase,
        )
        self._cancelled.append(event)

    def step(self) -> list[TokenEvent]:
        """Computes one batch; returns at most one token for each request in it."""
        told, self._cancelled = self._cancelled, []
        scheduled = self._scheduler.schedule()
        if scheduled:
            self._note_waits(scheduled)
            batch = self._assembly.assemble(scheduled)
            logits = self._model.forward(batch, self._kv)
            self._num_steps += 1
            self._num_rows += len(batch.token_ids)
            told += self._postprocess(scheduled, logits)
        return told

    def stats(self) -> EngineStats:
        """Where it stands, and what it has done so far."""
        return EngineStats(
            waiting_requests=self._scheduler.num_waiting,
            running_requests=self._scheduler.num_running,
            total_blocks=self._pool.num_blocks,
            held_blocks=self._pool.num_blocks - self._pool.num_unused,
            cached_blocks=self._pool.num_cached,
            blank_blocks=self._pool.num_unused - self._pool.num_cached,
            prompt_tokens=self._scheduler.prompt_tokens,
            prompt_tokens_from_cache=self._scheduler.prompt_tokens_from_cache,
            generated_tokens=self._num_generated,
            preemptions=self._scheduler.num_preemptions,
            steps=self._num_steps,
            rows=self._num_rows,
        )

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

        For when nothing else runs. Raises as `submit`.
        """
        (event,) = self.generate(Request(tuple(token_ids), SamplingParams(0), score_from=1))
        return np.array([score.logprob for score in event.scores], np.float32)

    def _check_ids(self, token_ids: Ids[int], where: str) -> None:
        vocab_size = self._model.config.vocab_size
        if not token_ids:
            raise UsageError(f"{where} is empty: at least one token is needed")
        if not 0 <= min(token_ids) <= max(token_ids) < vocab_size:
            raise UsageError(f"a token id of {where} is not in the vocabulary of {vocab_size}")

    def _check_room(self, wanted_tokens: int, given: str, max_tokens: int) -> None:
        if wanted_tokens > self.context_tokens:
            more = f" and up to {max_tokens} more are {wanted_tokens}" if max_tokens else ""
            raise ContextTooLong(
                f"{given}{more}, but the context holds {self.context_tokens}",
                hint="shorten the prompt, lower the maximum of new tokens, or raise the context",
            )

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _fork(
        self,
        parent: Sequence,
        extra_ids: Ids[int],
        most_tokens: int,
        *,
        is_scored: bool = False,
        seed: int | None = None,
    ) -> int:
        fork = parent.fork(self._new_id(), extra_ids, most_tokens, is_scored=is_scored, seed=seed)
        self._sequences[fork.id] = fork
        is_decoding = self._scheduler.is_running(parent) and parent.num_to_compute == 1
        if not (is_decoding and self._join(fork, parent)):
            self._scheduler.add(fork)
        if not is_decoding:
            fork.is_following = True
            parent.followers.append(fork)
        return fork.id

    def _join(self, fork: Sequence, parent: Sequence) -> bool:
        """Lets a fork run on its parent's blocks, if it fits; the last one is copied if begun."""
        if not self._scheduler.join(fork, parent):
            return False
        full, begun_tokens = divmod(fork.num_computed, BLOCK_TOKENS)
        if begun_tokens:
            self._kv.copy_block(parent.blocks[full], fork.blocks[full])
        return True

    def _note_waits(self, scheduled: list[Scheduled]) -> None:
        now: float | None = None
        for sequence, _ in scheduled:
            if sequence.queue_s is None:
                now = self._clock() if now is None else now
                sequence.queue_s = now - sequence.submitted_at

    def _postprocess(
        self, scheduled: list[Scheduled], logits: NDArray[np.float32]
    ) -> list[TokenEvent]:
        """Counts the rows as computed, scores what was given, and chooses a token for each sequence
        that has caught up.
        """
        events: list[TokenEvent] = []
        end = 0
        for sequence, num_rows in scheduled:
            start, end = end, end + sequence.num_logits(num_rows)
            sequence.advance(self._pool, num_rows)
            if sequence.is_scored:
                score(sequence, logits[start:end])
            if sequence.num_to_compute == 0:
                events += self._choose_with_followers(sequence, logits[end - 1])
        return events

    def _choose_with_followers(
        self, sequence: Sequence, logits: NDArray[np.float32]
    ) -> list[TokenEvent]:
        """A token, and one for each fork that has waited for these logits and finds room."""
        events: list[TokenEvent] = []
        followers, sequence.followers = sequence.followers, []
        for fork in followers:
            fork.is_following = False
            is_open = fork.id in self._sequences
            if is_open and self._join(fork, sequence):
                if fork.is_scored:
                    score(fork, logits[np.newaxis])
                if fork.num_to_compute == 0:
                    events += self._choose_with_followers(fork, logits)
        if sequence.is_full:
            event = end_of_scores(sequence)
        else:
            event = choose(sequence, logits, self._sampler)
            self._num_generated += 1
        if event.finish_reason is not None:
            del self._sequences[sequence.id]
            self._scheduler.remove(sequence)
        return [*events, event]
