"""Which sequences compute how many rows in the next step.

Decodes come first, so that nobody's stream stops for a newcomer's prompt; prompts share what is
left of the step's rows, first come first served. A request enters when its worst case fits, so that
what has entered can always finish; those behind it wait in order, so that none starves.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from stillhouse.engine.blocks import BlockPool
from stillhouse.engine.sequence import Sequence


class Scheduled(NamedTuple):
    """The next `num_rows` positions of a sequence."""

    sequence: Sequence
    num_rows: int


class Scheduler:
    """Two queues in order of arrival: waiting, and running. At most `max_rows` rows a step."""

    def __init__(self, pool: BlockPool, *, max_rows: int, max_sequences: int) -> None:
        assert max_rows >= max_sequences  # so that every decode fits into every step
        self._pool = pool
        self._max_rows = max_rows
        self._max_sequences = max_sequences
        self._waiting: deque[Sequence] = deque()
        self._running: dict[int, Sequence] = {}  # by id; keeps the order of arrival

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting)

    def add(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Takes a sequence out, wherever it is; its blocks are free at once."""
        if self._running.pop(sequence.id, None) is None:
            self._waiting.remove(sequence)
        sequence.leave(self._pool)

    def schedule(self) -> list[Scheduled]:
        """The rows of the next step, decodes before prompts; the blocks for them are allocated."""
        running = self._running.values()
        scheduled = [Scheduled(s, 1) for s in running if s.num_to_compute == 1]
        rows_left = self._max_rows - len(scheduled)
        for sequence in running:
            if sequence.num_to_compute > 1 and rows_left:
                rows = min(sequence.num_to_compute, rows_left)
                scheduled.append(Scheduled(sequence, rows))
                rows_left -= rows
        while rows_left and self._waiting and len(running) < self._max_sequences:
            sequence = self._waiting[0]
            if not sequence.admit(self._pool):
                break
            self._running[sequence.id] = self._waiting.popleft()
            rows = min(sequence.num_to_compute, rows_left)
            scheduled.append(Scheduled(sequence, rows))
            rows_left -= rows
        for sequence, rows in scheduled:
            sequence.extend_blocks(self._pool, rows)
        return scheduled
