"""Which sequences compute how many rows in the next step.

Decodes come first, so that nobody's stream stops for a newcomer's prompt; prompts share what is
left of the step's rows, first come first served. A request enters when its worst case fits, so that
what has entered can always finish; those behind it wait in order, so that none starves.

Logits of a vocabulary take room, so a step scores no more than 128 given tokens, beside one for
each sequence.

Memory may also be overcommitted: then a request enters when its known tokens fit, and a block for
everyone who runs is left over. When blocks run out, the latest arrival is preempted: it loses its
blocks and waits in the place of its arrival, to be computed again. The earliest one always goes on,
so everybody's turn comes.
"""

from __future__ import annotations

from bisect import insort
from typing import Literal, NamedTuple

from stillhouse.engine.blocks import BlockPool
from stillhouse.engine.sequence import Sequence

Admission = Literal["worst_case", "overcommit"]
_MOST_SCORED = 128  # a step: logits of 128 rows and a vocabulary of 152,064 are 78 MB


class Scheduled(NamedTuple):
    """The next `num_rows` positions of a sequence."""

    sequence: Sequence
    num_rows: int


class _Room:
    """What decodes have left of a step."""

    def __init__(self, num_rows: int, num_scored: int) -> None:
        self.num_rows = num_rows
        self._num_scored = num_scored

    def take(self, sequence: Sequence) -> list[Scheduled]:
        """As many rows of it as there is room for, if any."""
        rows = sequence.num_rows_within(self.num_rows, self._num_scored)
        if rows < 1:
            return []
        self.num_rows -= rows
        if sequence.is_scored:
            self._num_scored -= sequence.num_logits(rows)
        return [Scheduled(sequence, rows)]


class Scheduler:
    """Who waits and who runs, both in order of arrival. At most `max_rows` rows a step."""

    def __init__(
        self, pool: BlockPool, *, max_rows: int, max_sequences: int, admission: Admission
    ) -> None:
        assert max_rows >= max_sequences  # so that every decode fits into every step
        self._pool = pool
        self._max_rows = max_rows
        self._max_sequences = max_sequences
        self._admission = admission
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self.num_preemptions = 0
        self.prompt_tokens = 0  # of all that have begun to run
        self.prompt_tokens_from_cache = 0

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    def is_running(self, sequence: Sequence) -> bool:
        return sequence in self._running

    def add(self, sequence: Sequence) -> None:
        insort(self._waiting, sequence, key=_order)

    def remove(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it is; its blocks are free at once."""
        (self._running if self.is_running(sequence) else self._waiting).remove(sequence)
        sequence.leave(self._pool)
        for follower in sequence.followers:
            follower.is_following = False

    def join(self, fork: Sequence, parent: Sequence) -> bool:
        """Lets a fork, so far nowhere or waiting, run on its running parent's blocks, if it fits.

        The fork's block that is not full has still to be copied.
        """
        if len(self._running) == self._max_sequences:
            return False
        if not fork.share(
            self._pool, parent, self._to_promise(fork), spare_blocks=self._spare_blocks()
        ):
            return False
        if fork in self._waiting:
            self._waiting.remove(fork)
        self._enter(fork)
        return True

    def preempt(self, sequence: Sequence) -> None:
        """Takes a running sequence's blocks; it waits in the place of its arrival."""
        self._running.remove(sequence)
        sequence.leave(self._pool)
        self.add(sequence)
        self.num_preemptions += 1

    def schedule(self) -> list[Scheduled]:
        """The rows of the next step, decodes before prompts; the blocks for them are allocated."""
        self._promise_known_tokens()
        running = self._running
        scheduled = [Scheduled(s, 1) for s in running if s.num_to_compute == 1]
        room = _Room(self._max_rows - len(scheduled), _MOST_SCORED)
        for sequence in running:
            if sequence.num_to_compute > 1:
                scheduled += room.take(sequence)
        while room.num_rows and self._waiting and len(running) < self._max_sequences:
            sequence = self._waiting[0]
            if sequence.is_following or not sequence.admit(
                self._pool, self._to_promise(sequence), spare_blocks=self._spare_blocks()
            ):
                break
            self._enter(self._waiting.pop(0))
            scheduled += room.take(sequence)
        for sequence, rows in scheduled:
            sequence.extend_blocks(self._pool, rows)
        return scheduled

    def _promise_known_tokens(self) -> None:
        """Sees that all that run can compute what they know, the earliest arrivals first."""
        num_safe = 0
        while num_safe < len(self._running):
            sequence = self._running[num_safe]
            if sequence.promise(self._pool):
                num_safe += 1
            else:
                self.preempt(self._running[-1])

    def _to_promise(self, sequence: Sequence) -> int:
        if self._admission == "worst_case":
            return sequence.worst_case_blocks
        return sequence.known_blocks

    def _spare_blocks(self) -> int:
        return 0 if self._admission == "worst_case" else len(self._running)

    def _enter(self, sequence: Sequence) -> None:
        if not sequence.has_run:
            sequence.has_run = True
            self.prompt_tokens += sequence.num_prompt
            self.prompt_tokens_from_cache += sequence.num_cached
        insort(self._running, sequence, key=_order)


def _order(sequence: Sequence) -> tuple[int, int]:
    return sequence.order
