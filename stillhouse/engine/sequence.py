"""The mutable state of a request, from waiting to its last token."""

from __future__ import annotations

from collections.abc import Sequence as Ids
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stillhouse.engine.blocks import ROOT, BlockPool, Key, block_key
from stillhouse.engine.constraints import TokenConstraint
from stillhouse.engine.loops import LoopDetector
from stillhouse.engine.penalties import Penalties
from stillhouse.engine.request import Phase, Request, Score
from stillhouse.engine.sampler import SamplingParams
from stillhouse.engine.thinking import ThoughtTracker
from stillhouse.models.batch import BLOCK_TOKENS


class Sequence:
    """Tokens 0 to `num_tokens` are known, the first `num_computed` of them are in the cache; the
    difference is what the next steps have to compute. The last token of all never is.
    From `score_at` on, the logits before known tokens are wanted, and those after the last.

    Without blocks (before it runs, and after a preemption) nothing is computed; tokens, generator
    and thought stay, so that it goes on as if nothing had happened once its tokens are computed.
    """

    __slots__ = (
        "_keys",
        "arrival",
        "block_table",
        "blocks",
        "constraint",
        "followers",
        "has_run",
        "id",
        "is_following",
        "loops",
        "most_tokens",
        "num_cached",
        "num_computed",
        "num_prompt",
        "num_published",
        "num_reserved",
        "num_tokens",
        "penalties",
        "queue_s",
        "rng",
        "sampling",
        "score_at",
        "scores",
        "submitted_at",
        "thought",
        "token_ids",
    )

    def __init__(
        self,
        sequence_id: int,
        *,
        arrival: int,
        token_ids: NDArray[np.int32],
        num_prompt: int,
        num_tokens: int,
        score_at: int,
        sampling: SamplingParams,
        rng: np.random.Generator,
        thought: ThoughtTracker | None,
        loops: LoopDetector | None,
        penalties: Penalties | None,
        constraint: TokenConstraint | None,
        submitted_at: float,
    ) -> None:
        """`token_ids`: int32, as long as the sequence may become; `num_tokens` of them are set, and
        scored from `score_at` on.
        """
        self.id = sequence_id
        self.arrival = arrival
        self.token_ids = token_ids
        self.most_tokens = len(token_ids)
        self.num_prompt = num_prompt
        self.num_tokens = num_tokens
        self.score_at = score_at
        self.scores: list[Score] = []  # that nobody has been told
        self.sampling = sampling
        self.rng = rng
        self.thought = thought
        self.loops = loops
        self.penalties = penalties
        self.constraint = constraint
        self.submitted_at = submitted_at
        self.queue_s: float | None = None  # from then to the first row; None while it waits
        self.num_cached = 0
        self.num_computed = 0
        self.has_run = False
        self.is_following = False  # waits until the sequence that it was forked from catches up
        self.followers: list[Sequence] = []
        self.blocks: list[int] = []
        self.block_table = np.empty(self.worst_case_blocks, np.int32)  # the same, for the batch
        self.num_reserved = 0
        self.num_published = 0  # full blocks that others can find
        self._keys: list[Key] = []  # of full blocks, in order; may be ahead of what is published

    @classmethod
    def of_request(cls, sequence_id: int, request: Request, submitted_at: float) -> Self:
        """A sequence that knows its prompt and no more."""
        num_prompt, sampling = request.num_prompt, request.sampling
        limit, guard, constraint = request.thinking, request.loops, request.constraint
        token_ids = np.empty(num_prompt + sampling.max_tokens, np.int32)
        token_ids[:num_prompt] = request.prompt_ids
        return cls(
            sequence_id,
            arrival=sequence_id,
            token_ids=token_ids,
            num_prompt=num_prompt,
            num_tokens=num_prompt,
            score_at=num_prompt if request.score_from is None else request.score_from,
            sampling=sampling,
            rng=np.random.default_rng(sampling.seed),
            thought=None if limit is None else ThoughtTracker(limit, sampling.max_tokens),
            loops=None if guard is None else LoopDetector(guard),
            penalties=Penalties(sampling, request.prompt_ids) if sampling.has_penalties else None,
            constraint=None if constraint is None else constraint.fork(),
            submitted_at=submitted_at,
        )

    def fork(
        self,
        sequence_id: int,
        extra_ids: Ids[int],
        most_tokens: int,
        *,
        is_scored: bool = False,
        seed: int | None = None,
    ) -> Self:
        """One that goes on from here, after `extra_ids`, to `most_tokens` in all; without blocks.

        It counts as having arrived with this one. Without a `seed` its generator is spawned from
        this one's (numpy's SeedSequence.spawn), which leaves what this one draws unchanged.
        """
        known = self.num_tokens + len(extra_ids)
        token_ids = np.empty(most_tokens, np.int32)
        token_ids[: self.num_tokens] = self.token_ids[: self.num_tokens]
        token_ids[self.num_tokens : known] = extra_ids
        fork = type(self)(
            sequence_id,
            arrival=self.arrival,
            token_ids=token_ids,
            num_prompt=self.num_prompt,
            num_tokens=known,
            score_at=self.num_tokens if is_scored else known,
            sampling=self.sampling,
            rng=self.rng.spawn(1)[0] if seed is None else np.random.default_rng(seed),
            thought=self.thought and self.thought.fork(extra_ids, most_tokens - known),
            loops=self.loops and self.loops.fork(extra_ids),
            penalties=self.penalties and self.penalties.fork(extra_ids),
            constraint=self.constraint and self.constraint.fork(),
            submitted_at=self.submitted_at,
        )
        fork._keys = self._keys.copy()
        return fork

    @property
    def order(self) -> tuple[int, int]:
        """By arrival; forks right behind what they were forked from."""
        return self.arrival, self.id

    @property
    def phase(self) -> Phase:
        """What it is at: waiting for its first row, for its first token, or decoding."""
        if self.queue_s is None:
            return "queue"
        return "decode" if self.num_generated else "prefill"

    @property
    def num_to_compute(self) -> int:
        return self.num_tokens - self.num_computed - (self.num_tokens == self.most_tokens)

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities of known tokens are still wanted."""
        return self.score_at < self.num_tokens

    @property
    def is_full(self) -> bool:
        """Whether no more tokens may follow."""
        return self.num_tokens == self.most_tokens

    @property
    def num_generated(self) -> int:
        """Tokens after the prompt."""
        return self.num_tokens - self.num_prompt

    @property
    def known_blocks(self) -> int:
        """Blocks that the tokens known by now take."""
        return -(-(self.num_tokens - self.is_full) // BLOCK_TOKENS)

    @property
    def worst_case_blocks(self) -> int:
        """Blocks held in the end if it runs to the last token, which is never computed."""
        return -(-(self.most_tokens - 1) // BLOCK_TOKENS)

    def admit(self, pool: BlockPool, num_blocks: int, *, spare_blocks: int) -> bool:
        """Takes the cached prefix and the promise of more, `num_blocks` together, or nothing.

        The tokens whose logits are needed are left to compute, at least one. `spare_blocks` must
        be left over for others.
        """
        most_shared = (self.score_at - 1) // BLOCK_TOKENS
        self._add_keys(most_shared)
        shared = pool.find(self._keys[:most_shared])
        return self._begin(
            pool, shared, num_blocks, spare_blocks, num_computed=len(shared) * BLOCK_TOKENS
        )

    def share(
        self, pool: BlockPool, parent: Sequence, num_blocks: int, *, spare_blocks: int
    ) -> bool:
        """The same for a fork, with all that its parent has computed.

        Full blocks are held together. Of a block that is not full it gets one of its own, whose
        content has still to be copied from the parent's.
        """
        shared = parent.blocks[: parent.num_computed // BLOCK_TOKENS]
        began = self._begin(
            pool, shared, num_blocks, spare_blocks, num_computed=parent.num_computed
        )
        if began:
            self.extend_blocks(pool, 0)
        return began

    def promise(self, pool: BlockPool) -> bool:
        """Sees that the known tokens have blocks or promises of them; False if there is no room."""
        missing = self.known_blocks - len(self.blocks) - self.num_reserved
        if missing > 0:
            if not pool.can_hold_and_reserve((), missing):
                return False
            pool.reserve(missing)
            self.num_reserved += missing
        return True

    def extend_blocks(self, pool: BlockPool, num_rows: int) -> None:
        """Allocates what the next `num_rows` positions need beyond the blocks held."""
        while len(self.blocks) * BLOCK_TOKENS < self.num_computed + num_rows:
            self._append_block(pool.allocate())
            self.num_reserved -= 1

    def num_rows_within(self, most_rows: int, most_scored: int) -> int:
        """How many rows a step may compute of this sequence, with logits of so many to score."""
        rows = min(self.num_to_compute, most_rows)
        if self.is_scored:
            rows = min(rows, rows - self.num_logits(rows) + most_scored)
        return rows

    def num_logits(self, num_rows: int) -> int:
        """Of how many of the next rows logits are wanted: always the last of them."""
        wanted = self.num_computed + num_rows - self.score_at + 1
        return wanted if wanted > 0 else 0  # for every sequence of every step: cheaper than max

    def advance(self, pool: BlockPool, num_rows: int) -> None:
        """Counts rows as computed, and publishes the blocks that they filled."""
        self.num_computed += num_rows
        while (self.num_published + 1) * BLOCK_TOKENS <= self.num_computed:
            self._add_keys(self.num_published + 1)
            pool.publish(self.blocks[self.num_published], self._keys[self.num_published])
            self.num_published += 1

    def append(self, token_id: int) -> None:
        """Takes a chosen token; what follows thoughts and answers is told of it elsewhere."""
        self.token_ids[self.num_tokens] = token_id
        self.num_tokens += 1
        self.score_at += 1  # what is chosen needs no score
        if self.penalties is not None:
            self.penalties.push(token_id)

    def take_scores(self) -> tuple[Score, ...]:
        """What has been scored, for whoever tells of it."""
        if not self.scores:
            return ()
        scores, self.scores = self.scores, []
        return tuple(scores)

    def leave(self, pool: BlockPool) -> None:
        """Gives back blocks and promises; what was published can still be found."""
        pool.release(self.blocks)
        pool.unreserve(self.num_reserved)
        self.blocks = []
        self.num_reserved = self.num_published = self.num_computed = 0

    def _begin(
        self,
        pool: BlockPool,
        shared: list[int],
        num_blocks: int,
        spare_blocks: int,
        *,
        num_computed: int,
    ) -> bool:
        num_new = num_blocks - len(shared)
        if not pool.can_hold_and_reserve(shared, num_new + spare_blocks):
            return False
        pool.hold(shared)
        pool.reserve(num_new)
        self.num_reserved = num_new
        self.num_published = len(shared)
        for block in shared:
            self._append_block(block)
        self.num_computed = num_computed
        if not self.has_run:
            self.num_cached = min(num_computed, self.num_prompt)
        return True

    def _add_keys(self, wanted: int) -> None:
        """Names at least `wanted` blocks; so many are full of known tokens."""
        while len(self._keys) < wanted:
            start = len(self._keys) * BLOCK_TOKENS
            parent = self._keys[-1] if self._keys else ROOT
            self._keys.append(block_key(parent, self.token_ids[start : start + BLOCK_TOKENS]))

    def _append_block(self, block: int) -> None:
        self.block_table[len(self.blocks)] = block
        self.blocks.append(block)
